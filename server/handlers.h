/* Who answers the routes. Every handler fills `reply` and returns GLN_OK, or fails; route.c is the only caller. */
#ifndef GLN_SERVER_HANDLERS_H
#define GLN_SERVER_HANDLERS_H

#include "server/internal.h"

/* handlers_session.c */
gln_status gln_handle_health(gln_request *request, gln_reply *reply);
gln_status gln_handle_ready(gln_request *request, gln_reply *reply);
gln_status gln_handle_login(gln_request *request, gln_reply *reply);
gln_status gln_handle_session(gln_request *request, gln_reply *reply);
gln_status gln_handle_session_end(gln_request *request, gln_reply *reply);
gln_status gln_handle_openapi(gln_request *request, gln_reply *reply);

/* handlers_projects.c */
gln_status gln_handle_projects(gln_request *request, gln_reply *reply);
gln_status gln_handle_project_create(gln_request *request, gln_reply *reply);
gln_status gln_handle_project(gln_request *request, gln_reply *reply);
gln_status gln_handle_project_change(gln_request *request, gln_reply *reply);
gln_status gln_handle_project_delete(gln_request *request, gln_reply *reply);
gln_status gln_handle_balance(gln_request *request, gln_reply *reply);

/* handlers_images.c */
gln_status gln_handle_images(gln_request *request, gln_reply *reply);
gln_status gln_handle_image(gln_request *request, gln_reply *reply);
gln_status gln_handle_image_remove(gln_request *request, gln_reply *reply);
gln_status gln_handle_thumbnail(gln_request *request, gln_reply *reply);
gln_status gln_handle_original(gln_request *request, gln_reply *reply);
gln_status gln_handle_similar(gln_request *request, gln_reply *reply);
gln_status gln_handle_refusals(gln_request *request, gln_reply *reply);

/* handlers_labels.c */
gln_status gln_handle_labels(gln_request *request, gln_reply *reply);
gln_status gln_handle_labels_add(gln_request *request, gln_reply *reply);
gln_status gln_handle_batch_labels(gln_request *request, gln_reply *reply);

/* handlers_clusters.c */
gln_status gln_handle_clusters(gln_request *request, gln_reply *reply);
gln_status gln_handle_cluster(gln_request *request, gln_reply *reply);
gln_status gln_handle_cluster_change(gln_request *request, gln_reply *reply);

/* handlers_batches.c */
gln_status gln_handle_batches(gln_request *request, gln_reply *reply);
gln_status gln_handle_batch_take(gln_request *request, gln_reply *reply);
gln_status gln_handle_batch(gln_request *request, gln_reply *reply);
gln_status gln_handle_batch_release(gln_request *request, gln_reply *reply);
gln_status gln_handle_batch_renew(gln_request *request, gln_reply *reply);
gln_status gln_handle_ledger(gln_request *request, gln_reply *reply);

/* handlers_runs.c */
gln_status gln_handle_runs(gln_request *request, gln_reply *reply);
gln_status gln_handle_run_start(gln_request *request, gln_reply *reply);
gln_status gln_handle_run(gln_request *request, gln_reply *reply);
gln_status gln_handle_run_cancel(gln_request *request, gln_reply *reply);
gln_status gln_handle_images_register(gln_request *request, gln_reply *reply);

/* handlers_insight.c */
gln_status gln_handle_forecast(gln_request *request, gln_reply *reply);
gln_status gln_handle_label_checks(gln_request *request, gln_reply *reply);
gln_status gln_handle_drift(gln_request *request, gln_reply *reply);
gln_status gln_handle_drift_accept(gln_request *request, gln_reply *reply);

/* handlers_proposals.c */
gln_status gln_handle_proposals(gln_request *request, gln_reply *reply);
gln_status gln_handle_audits(gln_request *request, gln_reply *reply);
gln_status gln_handle_audit_take(gln_request *request, gln_reply *reply);
gln_status gln_handle_audit(gln_request *request, gln_reply *reply);
gln_status gln_handle_audit_accept(gln_request *request, gln_reply *reply);
gln_status gln_handle_audit_undo(gln_request *request, gln_reply *reply);

#endif
