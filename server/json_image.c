/* Image, Label and refusals. */
#include "server/shapes.h"

gln_json *gln_shape_image(const gln_image_row *row, const gln_class_map *classes)
{
    gln_json *image = gln_json_object();
    gln_json_set_number(image, "id", (double)row->id);
    gln_shape_set_text(image, "path", row->path);
    gln_json_set_number(image, "names_count", (double)row->n_names);
    gln_shape_set_hash(image, "sha256", row->sha256);
    gln_json_set_string(image, "format", row->format);
    gln_json_set_number(image, "width", (double)row->width);
    gln_json_set_number(image, "height", (double)row->height);
    gln_json_set_number(image, "bytes", (double)row->n_bytes);
    gln_shape_set_time(image, "added", row->created_ms);
    gln_json_set_string(image, "label", gln_class_map_name(classes, row->label_class_id));
    gln_json_set_string(image, "label_source", row->label_source);
    gln_shape_set_id(image, "cluster", row->cluster_id);
    gln_shape_set_id(image, "duplicate_of", row->representative_id == row->id ? 0 : row->representative_id);
    gln_shape_set_prediction(image, classes, row->predicted_class_id, row->p_predicted, row->runner_up_class_id,
                             row->p_runner_up);
    gln_shape_set_id(image, "batch", row->leased_batch_id);
    return image;
}

gln_json *gln_shape_label(const gln_label_row *row)
{
    gln_json *label = gln_json_object();
    gln_json_set_number(label, "id", (double)row->id);
    gln_json_set_number(label, "image", (double)row->image_id);
    gln_json_set_string(label, "class", row->class_name);
    gln_json_set_string(label, "annotator", row->annotator);
    gln_json_set_number(label, "seconds", row->seconds);
    gln_json_set_string(label, "source", row->source);
    gln_shape_set_id(label, "batch", row->batch_id);
    gln_shape_set_id(label, "audit", row->audit_id);
    gln_json_set_string(label, "review", row->review);
    gln_shape_set_time(label, "at", row->created_ms);
    gln_shape_set_time(label, "ended", row->ended_ms);
    return label;
}

gln_json *gln_shape_refusal(const gln_refusal_row *row)
{
    gln_json *refusal = gln_json_object();
    gln_shape_set_text(refusal, "path", row->path);
    gln_shape_set_text(refusal, "reason", row->reason);
    gln_json_set_string(refusal, "status", gln_status_name(row->status));
    gln_shape_set_time(refusal, "at", row->created_ms);
    return refusal;
}
