/*
 * schema.h - numbered migrations; a database remembers the last one it has had (PRAGMA user_version).
 *
 * Never change a migration that was released; add one.
 */
#ifndef PLUVIO_STORE_SCHEMA_H
#define PLUVIO_STORE_SCHEMA_H

static const char *const migrations[] = {
    /* 1 */
    /* A node is online when its `epoch` is the present one: a new start of the server makes all offline at once. */
    "CREATE TABLE nodes (id TEXT PRIMARY KEY, name TEXT, fw_version TEXT, type TEXT, subtype TEXT, model TEXT,"
    " project_name TEXT, platform TEXT, network_id TEXT, address TEXT, key_digests TEXT, expected_version TEXT,"
    " tags TEXT, secure_version INT, slot_bytes INT, is_astray INT, registered_at INT, activated_at INT, seen_at INT,"
    " booted_at INT, presence_at INT, subscribed_at INT, epoch INT, is_deactivated INT) WITHOUT ROWID;"
    "CREATE TABLE cards (kind INT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value INT) WITHOUT ROWID;"
    "INSERT INTO facts VALUES ('epoch', 1), ('epoch_at', 0), ('nodes', 0);"
    "CREATE TABLE groups (id TEXT PRIMARY KEY, name TEXT, parent_id TEXT, type TEXT, description TEXT,"
    " custom_data TEXT, query TEXT, owner TEXT, created_at INT, total INT DEFAULT 0) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX groups_name ON groups (owner, name);"
    "CREATE INDEX groups_owner ON groups (owner, id);"
    "CREATE INDEX groups_parent ON groups (parent_id, id);"
    "CREATE TABLE members (group_id TEXT, node_id TEXT, joined_at INT, PRIMARY KEY (group_id, node_id)) WITHOUT ROWID;"
    "CREATE INDEX members_node ON members (node_id, group_id);"
    "CREATE TABLE images (id TEXT PRIMARY KEY, name TEXT UNIQUE, type TEXT, model TEXT, fw_version TEXT, project_name "
    "TEXT,"
    " platform TEXT, sha256 TEXT, md5 TEXT, uploader TEXT, signed_by TEXT, secure_version INT, size_bytes INT,"
    " is_archived INT, is_ready INT, uploaded_at INT);"
    "CREATE INDEX images_sha256 ON images (sha256);"
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, name TEXT UNIQUE, image_id TEXT, owner TEXT, description TEXT, groups "
    "TEXT,"
    " query TEXT, exclude TEXT, plan TEXT, stop_reason TEXT, metadata TEXT, status INT, is_paused INT, is_archived INT,"
    " is_force_push INT, is_continuous INT, needs_approval INT, notifies INT, gives_image INT, is_host_mcu INT,"
    " skips_project INT, is_for_everyone INT, has_named_nodes INT, priority INT, created_at INT, ended_at INT,"
    " expires_at INT, valid_from INT, is_serial INT, serial_max INT, serial_task_ms INT, serial_min_wait_ms INT,"
    " serial_max_wait_ms INT);"
    "CREATE INDEX jobs_image ON jobs (image_id);"
    "CREATE INDEX jobs_active ON jobs (priority, created_at) WHERE status = 0;"
    "CREATE TABLE job_targets (job_id TEXT, node_id TEXT, PRIMARY KEY (job_id, node_id)) WITHOUT ROWID;"
    /* counts and failures: numbers with blanks between them, in the order of their enums. */
    "CREATE TABLE job_states (job_id TEXT PRIMARY KEY, counts TEXT, failures TEXT, push_after TEXT, sweep_after TEXT,"
    " started INT, refused INT, audience INT, counted_at INT, phase INT, phase_at INT, gate_at INT, rate_at INT, "
    "bytes_at INT,"
    " is_pushing INT, sweep INT) WITHOUT ROWID;"
    "CREATE INDEX job_states_busy ON job_states (job_id) WHERE is_pushing <> 0 OR sweep <> 0;"
    /* timeline: a line a row: <ms> <1: the node's word> <state> <text> */
    "CREATE TABLE executions (job_id TEXT, node_id TEXT, info TEXT, from_version TEXT, network TEXT, state INT, "
    "failure "
    "INT,"
    " percent INT, offers INT, failures INT, timeline_count INT, is_approved INT, has_slot INT, offered_at INT,"
    " updated_at INT, deadline_at INT, node_ts INT, invalid_node_ts INT, timeline TEXT,"
    /* What indices are made of, apart from the state, so that most steps leave the indices alone. */
    " is_open INT, is_waiting INT, is_at_work INT,"
    " PRIMARY KEY (job_id, node_id)) WITHOUT ROWID;"
    "CREATE INDEX executions_open ON executions (node_id, job_id) WHERE is_open = 1;"
    "CREATE INDEX executions_due ON executions (deadline_at) WHERE deadline_at > 0;"
    "CREATE INDEX executions_waiting ON executions (job_id, deadline_at) WHERE is_waiting = 1;"
    "CREATE INDEX executions_network ON executions (network, job_id) WHERE is_at_work = 1;"
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, node_id TEXT, job_id TEXT, at INT, topic INT,"
    " text TEXT);"
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INT, at INT, node_id TEXT, job_id TEXT, image_id "
    "TEXT,"
    " info TEXT, state INT, percent INT);"
    "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, password_hash TEXT, code TEXT, role INT,"
    " is_verified INT, is_disabled INT, failures INT, locked_until INT, code_until INT, created_at INT);"
    "CREATE TABLE tokens (digest TEXT PRIMARY KEY, user_id TEXT, expires_at INT) WITHOUT ROWID;"
    "CREATE INDEX tokens_user ON tokens (user_id);",
    /* 2: organisations, in which names are unique, and scopes of users and their jobs */
    "ALTER TABLE nodes ADD COLUMN org TEXT DEFAULT '';"
    "ALTER TABLE users ADD COLUMN org TEXT DEFAULT '';"
    "ALTER TABLE users ADD COLUMN scope TEXT DEFAULT '';"
    "CREATE TABLE images2 (id TEXT PRIMARY KEY, name TEXT, type TEXT, model TEXT, fw_version TEXT, project_name TEXT,"
    " platform TEXT, sha256 TEXT, md5 TEXT, uploader TEXT, signed_by TEXT, secure_version INT, size_bytes INT,"
    " is_archived INT, is_ready INT, uploaded_at INT, org TEXT);"
    "INSERT INTO images2 SELECT *, '' FROM images ORDER BY rowid;"
    "DROP TABLE images;"
    "ALTER TABLE images2 RENAME TO images;"
    "CREATE UNIQUE INDEX images_name ON images (org, name);"
    "CREATE INDEX images_sha256 ON images (sha256);"
    "CREATE TABLE jobs2 (id TEXT PRIMARY KEY, name TEXT, image_id TEXT, owner TEXT, description TEXT, groups TEXT,"
    " query TEXT, exclude TEXT, plan TEXT, stop_reason TEXT, metadata TEXT, status INT, is_paused INT, is_archived INT,"
    " is_force_push INT, is_continuous INT, needs_approval INT, notifies INT, gives_image INT, is_host_mcu INT,"
    " skips_project INT, is_for_everyone INT, has_named_nodes INT, priority INT, created_at INT, ended_at INT,"
    " expires_at INT, valid_from INT, is_serial INT, serial_max INT, serial_task_ms INT, serial_min_wait_ms INT,"
    " serial_max_wait_ms INT, org TEXT, scope TEXT);"
    "INSERT INTO jobs2 SELECT *, '', '' FROM jobs ORDER BY rowid;"
    "DROP TABLE jobs;"
    "ALTER TABLE jobs2 RENAME TO jobs;"
    "CREATE UNIQUE INDEX jobs_name ON jobs (org, name);"
    "CREATE INDEX jobs_image ON jobs (image_id);"
    "CREATE INDEX jobs_active ON jobs (priority, created_at) WHERE status = 0;",
    /* 3: the broker that a node was last seen at */
    "ALTER TABLE nodes ADD COLUMN broker INT DEFAULT 0;",
};

#endif
