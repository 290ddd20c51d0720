/* Inside store/ only: how a row of an image is selected and read, for image.c and image_list.c. */
#ifndef GLN_STORE_IMAGE_ROW_H
#define GLN_STORE_IMAGE_ROW_H

#include "store/statement.h"

/* Columns of an image `i`, joined to its current label `l`, its row `s` of sampling and its leased item `b`. */
#define GLN_IMAGE_COLUMNS                                                                                              \
    "i.id, i.project_id, i.sha256, i.format, i.width, i.height, i.n_bytes, i.vector_row, i.created_ms, i.run_id,"      \
    " (SELECT n.path FROM image_name n WHERE n.image_id = i.id AND n.project_id = i.project_id"                        \
    " ORDER BY n.path LIMIT 1),"                                                                                       \
    " (SELECT count(*) FROM image_name n WHERE n.image_id = i.id),"                                                    \
    " l.class_id, s.cluster_id, s.representative_id, s.predicted_class_id, s.runner_up_class_id,"                      \
    " s.p_predicted, s.p_runner_up, b.batch_id, l.source"

/* After "LEFT JOIN", which keeps the image when it has no label, was not sampled, or is free; or after "CROSS JOIN". */
#define GLN_IMAGE_LABEL "label l ON l.image_id = i.id AND l.ended_ms IS NULL"
#define GLN_IMAGE_SAMPLING "sampling s ON s.image_id = i.id"
#define GLN_IMAGE_LEASE "batch_item b ON b.image_id = i.id AND b.state = 'leased'"
#define GLN_IMAGE_LEFT_JOINS                                                                                           \
    " LEFT JOIN " GLN_IMAGE_LABEL " LEFT JOIN " GLN_IMAGE_SAMPLING " LEFT JOIN " GLN_IMAGE_LEASE

/* Strings are borrowed from the statement. */
void gln_image_row_read(gln_statement *s, gln_image_row *row);

#endif
