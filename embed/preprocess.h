/*
 * Inside embed/: what preprocessing comes to for one image, for those who do it in parts (photo.c).
 */
#ifndef GLN_EMBED_PREPROCESS_H
#define GLN_EMBED_PREPROCESS_H

#include "embed/backbone.h"

/* The part of the image, [x, y, width, height] in its pixels, that becomes [side, side]. Errors: GLN_E_ARGUMENT. */
gln_status gln_preprocess_box(double out[4], const gln_preprocess *preprocess, const gln_image *image);

/* byte * scale[c] + offset[c] is what the network reads. */
void gln_preprocess_scale(float scale[3], float offset[3], const gln_preprocess *preprocess);

#endif
