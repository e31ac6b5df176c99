/* SPDX-License-Identifier: MIT */
/* The console font, converted by the build from a pinned package: 256 glyphs of 8 by 16 pixels,
 * a byte a row, the most significant bit leftmost. Codes 32 to 126 are ASCII.
 */
#ifndef HELIX_FONT_H
#define HELIX_FONT_H

#define FONT_GLYPH_WIDTH  8
#define FONT_GLYPH_HEIGHT 16

extern const unsigned char console_font_8x16[256][FONT_GLYPH_HEIGHT];

#endif
