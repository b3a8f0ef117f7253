/*
 * schema.h - numbered migrations, by the same numbers as SQLite's: a schema of one number holds the same in both.
 *
 * Fact "schema" is the last migration that the database has had; "schema_least" is the number that a program must know
 * at least to work with it.  Servers of two versions run side by side while a fleet of them is upgraded, so a migration
 * adds (columns with a default, tables, indices) and leaves "schema_least"; what old programs would miss is dropped one
 * release later, by a migration that raises it.  Never change a migration that was released; add one.
 */
#ifndef PLUVIO_STORE_POSTGRES_SCHEMA_H
#define PLUVIO_STORE_POSTGRES_SCHEMA_H

/* Texts are compared byte by byte, as everywhere else. */
#define T "TEXT COLLATE \"C\" NOT NULL DEFAULT ''"
#define K "TEXT COLLATE \"C\""
#define N "BIGINT NOT NULL DEFAULT 0"

#define SCHEMA 3

/* In pieces, for compilers count the characters of a string.  1 and 2 were before there was this store. */
static const struct migration {
    int number;
    const char *sql;
} migrations[] = {
    {3, "CREATE TABLE facts (name " K " PRIMARY KEY, value BIGINT NOT NULL);"
        "INSERT INTO facts VALUES ('epoch', 1), ('epoch_at', 0), ('nodes', 0), ('version', 1), ('schema', 0),"
        " ('schema_least', 3);"
        "CREATE TABLE servers (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seen_at TIMESTAMPTZ NOT NULL);"
        "CREATE TABLE nodes (id " K " PRIMARY KEY, name " T ", fw_version " T ", type " T ", subtype " T ", model " T
        ", project_name " T ", platform " T ", network_id " T ", address " T ", key_digests " T ", expected_version " T
        ", tags " T ", secure_version " N ", slot_bytes " N ", is_astray " N ", registered_at " N ", activated_at " N
        ", seen_at " N ", booted_at " N ", presence_at " N ", subscribed_at " N ", epoch " N ", is_deactivated " N
        ", org " T ", broker " N ") WITH (fillfactor = 80);"
        "CREATE TABLE cards (kind BIGINT, key " K ", value " T ", PRIMARY KEY (kind, key));"},
    {3, "CREATE TABLE groups (id " K " PRIMARY KEY, name " T ", parent_id " T ", type " T ", description " T
        ", custom_data " T ", query " T ", owner " T ", created_at " N ", total " N ");"
        "CREATE UNIQUE INDEX groups_name ON groups (owner, name);"
        "CREATE INDEX groups_owner ON groups (owner, id);"
        "CREATE INDEX groups_parent ON groups (parent_id, id);"
        "CREATE TABLE members (group_id " K ", node_id " K ", joined_at " N ", PRIMARY KEY (group_id, node_id));"
        "CREATE INDEX members_node ON members (node_id, group_id);"
        "CREATE TABLE images (id " K " PRIMARY KEY, name " T ", type " T ", model " T ", fw_version " T
        ", project_name " T ", platform " T ", sha256 " T ", md5 " T ", uploader " T ", signed_by " T
        ", secure_version " N ", size_bytes " N ", is_archived " N ", is_ready " N ", uploaded_at " N ", org " T
        ", rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE);"
        "CREATE UNIQUE INDEX images_name ON images (org, name);"
        "CREATE INDEX images_sha256 ON images (sha256);"},
    {3, "CREATE TABLE jobs (id " K " PRIMARY KEY, name " T ", image_id " T ", owner " T ", description " T ", groups " T
        ", query " T ", exclude " T ", plan " T ", stop_reason " T ", metadata " T ", status " N ", is_paused " N
        ", is_archived " N ", is_force_push " N ", is_continuous " N ", needs_approval " N ", notifies " N
        ", gives_image " N ", is_host_mcu " N ", skips_project " N ", is_for_everyone " N ", has_named_nodes " N
        ", priority " N ", created_at " N ", ended_at " N ", expires_at " N ", valid_from " N ", is_serial " N
        ", serial_max " N ", serial_task_ms " N ", serial_min_wait_ms " N ", serial_max_wait_ms " N ", org " T
        ", scope " T ", rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE);"
        "CREATE UNIQUE INDEX jobs_name ON jobs (org, name);"
        "CREATE INDEX jobs_image ON jobs (image_id);"
        "CREATE INDEX jobs_active ON jobs (priority, rowid) WHERE status = 0;"},
    {3, "CREATE TABLE job_targets (job_id " K ", node_id " K ", PRIMARY KEY (job_id, node_id));"
        "CREATE TABLE job_states (job_id " K " PRIMARY KEY, counts " T ", failures " T ", push_after " T
        ", sweep_after " T ", started " N ", refused " N ", audience " N ", counted_at " N ", phase " N ", phase_at " N
        ", gate_at " N ", rate_at " N ", bytes_at " N ", is_pushing " N ", sweep " N ") WITH (fillfactor = 50);"
        "CREATE INDEX job_states_busy ON job_states (job_id) WHERE is_pushing <> 0 OR sweep <> 0;"
        "CREATE TABLE executions (job_id " K ", node_id " K ", info " T ", from_version " T ", network " T ", state " N
        ", failure " N ", percent " N ", offers " N ", failures " N ", timeline_count " N ", is_approved " N
        ", has_slot " N ", offered_at " N ", updated_at " N ", deadline_at " N ", node_ts " N ", invalid_node_ts " N
        ", timeline " T ", is_open " N ", is_waiting " N ", is_at_work " N
        ", PRIMARY KEY (job_id, node_id)) WITH (fillfactor = 70);"
        "CREATE INDEX executions_node ON executions (node_id, job_id);"
        "CREATE INDEX executions_due ON executions (deadline_at) WHERE deadline_at > 0;"
        "CREATE INDEX executions_waiting ON executions (job_id, deadline_at) WHERE is_waiting = 1;"
        "CREATE INDEX executions_network ON executions (network, job_id) WHERE is_at_work = 1;"
        "CREATE TABLE outbox (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, node_id " T ", job_id " T ", at " N
        ", topic " N ", text " T ", server BIGINT NOT NULL);"
        "CREATE TABLE events (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind " N ", at " N ", node_id " T
        ", job_id " T ", image_id " T ", info " T ", state " N ", percent " N ");"
        "CREATE TABLE users (id " K " PRIMARY KEY, name " K " UNIQUE, password_hash " T ", code " T ", role " N
        ", is_verified " N ", is_disabled " N ", failures " N ", locked_until " N ", code_until " N ", created_at " N
        ", org " T ", scope " T ");"
        "CREATE TABLE tokens (digest " K " PRIMARY KEY, user_id " T ", expires_at " N ");"
        "CREATE INDEX tokens_user ON tokens (user_id);"},
};

#undef T
#undef K
#undef N

#endif
