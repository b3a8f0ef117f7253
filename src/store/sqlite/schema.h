/*
 * schema.h - numbered migrations; a database remembers the last one it has had (PRAGMA user_version).
 *
 * Never change a migration that was released; add one.
 */
#ifndef PLUVIO_STORE_SCHEMA_H
#define PLUVIO_STORE_SCHEMA_H

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE nodes (id TEXT PRIMARY KEY, name TEXT, fw_version TEXT, type TEXT, subtype TEXT, model TEXT,"
    " project_name TEXT, platform TEXT, network_id TEXT, is_online INT, registered_at INT, activated_at INT, seen_at "
    "INT,"
    " booted_at INT, presence_at INT, subscribed_at INT, config TEXT) WITHOUT ROWID;"
    "CREATE TABLE images (id TEXT PRIMARY KEY, name TEXT UNIQUE, type TEXT, model TEXT, fw_version TEXT, project_name "
    "TEXT,"
    " platform TEXT, sha256 TEXT, md5 TEXT, uploader TEXT, secure_version INT, size_bytes INT, is_archived INT, "
    "is_ready INT,"
    " uploaded_at INT);"
    "CREATE INDEX images_sha256 ON images (sha256);"
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, name TEXT UNIQUE, image_id TEXT, owner TEXT, description TEXT, status INT,"
    " is_archived INT, is_force_push INT, is_continuous INT, is_for_everyone INT, priority INT, created_at INT, "
    "ended_at INT,"
    " push_after TEXT, is_pushing INT, metadata TEXT);"
    "CREATE INDEX jobs_image ON jobs (image_id);"
    "CREATE INDEX jobs_active ON jobs (status, is_for_everyone, priority, created_at);"
    "CREATE TABLE job_targets (job_id TEXT, node_id TEXT, PRIMARY KEY (job_id, node_id)) WITHOUT ROWID;"
    "CREATE INDEX job_targets_node ON job_targets (node_id);"
    "CREATE TABLE executions (job_id TEXT, node_id TEXT, info TEXT, from_version TEXT, state INT, percent INT, offers "
    "INT,"
    " failures INT, offered_at INT, updated_at INT, deadline_at INT, node_ts INT, invalid_node_ts INT,"
    " PRIMARY KEY (job_id, node_id)) WITHOUT ROWID;"
    "CREATE INDEX executions_open ON executions (node_id, job_id) WHERE state BETWEEN 1 AND 7;"
    "CREATE INDEX executions_due ON executions (deadline_at) WHERE deadline_at > 0;"
    /* How many executions are in each state, kept with every change, so that a summary costs a few rows. */
    "CREATE TABLE job_counts (job_id TEXT, state INT, count INT, PRIMARY KEY (job_id, state)) WITHOUT ROWID;"
    "CREATE TRIGGER executions_inserted AFTER INSERT ON executions BEGIN"
    " INSERT INTO job_counts VALUES (new.job_id, new.state, 1)"
    " ON CONFLICT (job_id, state) DO UPDATE SET count = count + 1; END;"
    "CREATE TRIGGER executions_updated AFTER UPDATE OF state ON executions WHEN old.state <> new.state BEGIN"
    " UPDATE job_counts SET count = count - 1 WHERE job_id = old.job_id AND state = old.state;"
    " INSERT INTO job_counts VALUES (new.job_id, new.state, 1)"
    " ON CONFLICT (job_id, state) DO UPDATE SET count = count + 1; END;"
    "CREATE TABLE node_total (only INT PRIMARY KEY CHECK (only = 1), count INT);"
    "INSERT INTO node_total VALUES (1, 0);"
    "CREATE TRIGGER nodes_inserted AFTER INSERT ON nodes BEGIN UPDATE node_total SET count = count + 1; END;"
    "CREATE TRIGGER nodes_deleted AFTER DELETE ON nodes BEGIN UPDATE node_total SET count = count - 1; END;"
    "CREATE TABLE timeline (job_id TEXT, node_id TEXT, seq INTEGER PRIMARY KEY AUTOINCREMENT, at INT, is_from_node INT,"
    " state INT, info TEXT);"
    "CREATE INDEX timeline_of ON timeline (job_id, node_id, seq);"
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, node_id TEXT, job_id TEXT, at INT);"
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INT, at INT, node_id TEXT, job_id TEXT, image_id "
    "TEXT,"
    " info TEXT, state INT, percent INT);"
    "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, password_hash TEXT, is_admin INT, created_at INT);"
    "CREATE TABLE tokens (digest TEXT PRIMARY KEY, user_id TEXT, expires_at INT) WITHOUT ROWID;"
    "CREATE INDEX tokens_user ON tokens (user_id);",
};

#endif
