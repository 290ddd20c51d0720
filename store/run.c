/* Runs: the long jobs, their progress and what came of them. */
#include "store/statement.h"

#include <math.h>

static gln_status missing(int64_t id)
{
    return gln_fail(GLN_E_NOT_FOUND, "there is no run %lld", (long long)id);
}

static gln_status change(gln_statement *s, int64_t id)
{
    int64_t n = 0;
    gln_status st = gln_statement_change(s, &n);
    return st == GLN_OK && n == 0 ? missing(id) : st;
}

gln_status gln_store_run_add(gln_store *store, const gln_run_row *row, int64_t *out_id)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "INSERT INTO run (project_id, kind, state, parameters, stage, n_done, n_total, rate, left_s, message,"
        " summary, code_version, seed, snapshot_id, created_ms, started_ms, ended_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "adding a run");
    gln_bind_int(&s, row->project_id);
    gln_bind_text(&s, row->kind);
    gln_bind_text(&s, gln_text_or(row->state, "queued"));
    gln_bind_text(&s, gln_text_or(row->parameters, "{}"));
    gln_bind_text(&s, gln_text_or(row->stage, ""));
    gln_bind_int(&s, row->n_done);
    gln_bind_int(&s, row->n_total);
    gln_bind_real(&s, isnan(row->rate) ? 0 : row->rate);
    gln_bind_real(&s, row->left_s);
    gln_bind_text(&s, gln_text_or(row->message, ""));
    gln_bind_text(&s, gln_text_or(row->summary, "{}"));
    gln_bind_text(&s, gln_text_or(row->code_version, ""));
    gln_bind_int(&s, row->seed);
    gln_bind_id(&s, row->snapshot_id);
    gln_bind_int(&s, row->created_ms);
    gln_bind_id(&s, row->started_ms);
    gln_bind_id(&s, row->ended_ms);
    return gln_statement_insert(&s, out_id);
}

gln_status gln_store_run_start(gln_store *store, int64_t id, int64_t now_ms)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE run SET state = 'running', started_ms = ? WHERE id = ?", "starting a run");
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_run_progress(gln_store *store, int64_t id, const char *stage, int64_t n_done, int64_t n_total,
                                  double rate, double left_s)
{
    gln_statement s;
    gln_statement_open(&s, store,
                       "UPDATE run SET stage = ?, n_done = ?, n_total = ?, rate = ?, left_s = ? WHERE id = ?",
                       "recording progress");
    gln_bind_text(&s, gln_text_or(stage, ""));
    gln_bind_int(&s, n_done);
    gln_bind_int(&s, n_total);
    gln_bind_real(&s, isnan(rate) ? 0 : rate);
    gln_bind_real(&s, left_s);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_run_snapshot(gln_store *store, int64_t id, int64_t snapshot_id)
{
    gln_statement s;
    gln_statement_open(&s, store, "UPDATE run SET snapshot_id = ? WHERE id = ?", "recording the snapshot of a run");
    gln_bind_id(&s, snapshot_id);
    gln_bind_int(&s, id);
    return change(&s, id);
}

gln_status gln_store_run_end(gln_store *store, int64_t id, const char *state, const char *message, const char *summary,
                             int64_t now_ms)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "UPDATE run SET state = ?, message = coalesce(?, message), summary = coalesce(?, summary), left_s = NULL,"
        " ended_ms = ? WHERE id = ?",
        "ending a run");
    gln_bind_text(&s, state);
    gln_bind_text(&s, message);
    gln_bind_text(&s, summary);
    gln_bind_int(&s, now_ms);
    gln_bind_int(&s, id);
    return change(&s, id);
}

#define SELECT_RUN                                                                                                    \
    "SELECT id, project_id, kind, state, parameters, stage, message, summary, code_version, n_done, n_total, rate,"   \
    " left_s, seed, snapshot_id, created_ms, started_ms, ended_ms FROM run "

static void read_run(gln_statement *s, gln_run_row *row)
{
    *row = (gln_run_row){
        .id = gln_column_int(s, 0),
        .project_id = gln_column_int(s, 1),
        .kind = gln_column_text(s, 2),
        .state = gln_column_text(s, 3),
        .parameters = gln_column_text(s, 4),
        .stage = gln_column_text(s, 5),
        .message = gln_column_text(s, 6),
        .summary = gln_column_text(s, 7),
        .code_version = gln_column_text(s, 8),
        .n_done = gln_column_int(s, 9),
        .n_total = gln_column_int(s, 10),
        .rate = gln_column_real(s, 11, 0),
        .left_s = gln_column_real(s, 12, NAN),
        .seed = gln_column_int(s, 13),
        .snapshot_id = gln_column_int(s, 14),
        .created_ms = gln_column_int(s, 15),
        .started_ms = gln_column_int(s, 16),
        .ended_ms = gln_column_int(s, 17),
    };
}

gln_status gln_store_run_get(gln_store *store, int64_t id, gln_run_fn fn, void *context)
{
    gln_statement s;
    gln_run_row row;
    gln_statement_open(&s, store, SELECT_RUN "WHERE id = ?", "reading a run");
    gln_bind_int(&s, id);
    gln_status st = GLN_OK;
    if (gln_statement_next(&s)) {
        read_run(&s, &row);
        st = fn(context, &row);
    } else if (s.rc == SQLITE_OK) {
        st = missing(id);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_runs(gln_store *store, int64_t project_id, int64_t before_id, size_t limit, gln_run_fn fn,
                          void *context)
{
    gln_statement s;
    gln_run_row row;
    if (project_id != 0) {
        gln_statement_open(&s, store, SELECT_RUN "WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
                           "listing runs");
        gln_bind_int(&s, project_id);
    } else {
        gln_statement_open(&s, store, SELECT_RUN "WHERE id < ? ORDER BY id DESC LIMIT ?", "listing runs");
    }
    gln_bind_before(&s, before_id);
    gln_bind_count(&s, limit);
    gln_status st = GLN_OK;
    while (st == GLN_OK && gln_statement_next(&s)) {
        read_run(&s, &row);
        st = fn(context, &row);
    }
    return gln_statement_close(&s, st);
}

gln_status gln_store_runs_interrupt(gln_store *store, int64_t now_ms, int64_t *out_n)
{
    gln_statement s;
    gln_statement_open(
        &s, store,
        "UPDATE run SET state = 'interrupted', left_s = NULL, ended_ms = ? WHERE state IN ('queued', 'running')",
        "closing interrupted runs");
    gln_bind_int(&s, now_ms);
    return gln_statement_change(&s, out_n);
}
