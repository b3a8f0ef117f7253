/*
 * statements.h - every statement of the stores that speak SQL, in what SQLite and PostgreSQL both understand; prepared
 * at its first use.  Columns are named, so that a schema with more of them is no hindrance.
 */
#ifndef PLUVIO_STORE_STATEMENTS_H
#define PLUVIO_STORE_STATEMENTS_H

#define NODE_COLUMNS                                                                                                   \
    "id,name,fw_version,type,subtype,model,project_name,platform,network_id,address,key_digests,expected_version,"     \
    "tags,secure_version,slot_bytes,is_astray,registered_at,activated_at,seen_at,booted_at,presence_at,subscribed_at," \
    "epoch,is_deactivated,org,broker"
#define GROUP_COLUMNS "id,name,parent_id,type,description,custom_data,query,owner,created_at,total"
#define IMAGE_COLUMNS                                                                                                  \
    "id,name,type,model,fw_version,project_name,platform,sha256,md5,uploader,signed_by,secure_version,size_bytes,"     \
    "is_archived,is_ready,uploaded_at,org"
#define JOB_COLUMNS                                                                                                    \
    "id,name,image_id,owner,description,groups,query,exclude,plan,stop_reason,metadata,status,is_paused,is_archived,"  \
    "is_force_push,is_continuous,needs_approval,notifies,gives_image,is_host_mcu,skips_project,is_for_everyone,"       \
    "has_named_nodes,priority,created_at,ended_at,expires_at,valid_from,is_serial,serial_max,serial_task_ms,"          \
    "serial_min_wait_ms,serial_max_wait_ms,org,scope"
#define STATE_COLUMNS                                                                                                  \
    "job_id,counts,failures,push_after,sweep_after,started,refused,audience,counted_at,phase,phase_at,gate_at,rate_"   \
    "at,"                                                                                                              \
    "bytes_at,is_pushing,sweep"
#define EXECUTION_COLUMNS                                                                                              \
    "job_id,node_id,info,from_version,network,state,failure,percent,offers,failures,timeline_count,is_approved,"       \
    "has_slot,offered_at,updated_at,deadline_at,node_ts,invalid_node_ts"
#define EXECUTION_SET                                                                                                  \
    "info=?3,from_version=?4,state=?6,failure=?7,percent=?8,offers=?9,failures=?10,timeline_count=?11,is_approved=?"   \
    "12,"                                                                                                              \
    "has_slot=?13,offered_at=?14,updated_at=?15,node_ts=?17,invalid_node_ts=?18,timeline=executions.timeline||?19"
#define EVENT_COLUMNS "kind,at,node_id,job_id,image_id,info,state,percent"
#define USER_COLUMNS                                                                                                   \
    "id,name,password_hash,code,role,is_verified,is_disabled,failures,locked_until,code_until,created_at,org,scope"

#define STATEMENTS(X)                                                                                                  \
    X(FACTS, "SELECT name,value FROM facts")                                                                           \
    X(FACT_PUT, "INSERT INTO facts (name,value) VALUES (?1,?2) ON CONFLICT (name) DO UPDATE SET value=?2")             \
    X(NODE_GET, "SELECT " NODE_COLUMNS " FROM nodes WHERE id=?1")                                                      \
    X(NODE_UPDATE,                                                                                                     \
      "UPDATE nodes SET name=?2,fw_version=?3,type=?4,subtype=?5,model=?6,project_name=?7,platform=?8,network_id=?9,"  \
      "address=?10,key_digests=?11,expected_version=?12,tags=?13,secure_version=?14,slot_bytes=?15,is_astray=?16,"     \
      "registered_at=?17,activated_at=?18,seen_at=?19,booted_at=?20,presence_at=?21,subscribed_at=?22,epoch=?23,is_"   \
      "deactivated=?24,org=?25,broker=?26"                                                                             \
      " WHERE id=?1")                                                                                                  \
    X(NODE_INSERT, "INSERT INTO nodes (" NODE_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,"  \
                   "?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26)")                                                     \
    X(NODE_DELETE, "DELETE FROM nodes WHERE id=?1")                                                                    \
    X(NODE_LIST, "SELECT " NODE_COLUMNS " FROM nodes WHERE id>?1 ORDER BY id LIMIT ?2")                                \
    X(NODES_ALIKE,                                                                                                     \
      "SELECT fw_version,model,project_name,platform,epoch,broker,is_deactivated,is_astray,"                           \
      "CAST(CASE WHEN activated_at=0 THEN 0 ELSE 1 END AS BIGINT),count(*) FROM nodes WHERE ?1=1 OR org=?2"            \
      " GROUP BY 1,2,3,4,5,6,7,8,9 ORDER BY 10 DESC")                                                                  \
    X(GROUP_GET, "SELECT " GROUP_COLUMNS " FROM groups WHERE id=?1")                                                   \
    X(GROUP_NAME, "SELECT " GROUP_COLUMNS " FROM groups WHERE owner=?1 AND name=?2")                                   \
    X(GROUP_PUT, "INSERT INTO groups (id,name,parent_id,type,description,custom_data,query,owner,created_at)"          \
                 " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT (id) DO UPDATE SET name=?2,parent_id=?3,type=?4,"   \
                 "description=?5,custom_data=?6,query=?7,owner=?8,created_at=?9")                                      \
    X(GROUP_DELETE, "DELETE FROM groups WHERE id=?1")                                                                  \
    X(GROUP_LIST, "SELECT " GROUP_COLUMNS " FROM groups WHERE owner=?1 AND id>?2 ORDER BY id LIMIT ?3")                \
    X(GROUP_CHILDREN, "SELECT " GROUP_COLUMNS " FROM groups WHERE parent_id=?1 ORDER BY id LIMIT ?2")                  \
    X(GROUP_TOTAL, "UPDATE groups SET total=total+?2 WHERE id=?1")                                                     \
    X(MEMBER_ADD, "INSERT INTO members (group_id,node_id,joined_at) VALUES (?1,?2,?3) ON CONFLICT DO NOTHING")         \
    X(MEMBER_REMOVE, "DELETE FROM members WHERE group_id=?1 AND node_id=?2")                                           \
    X(MEMBERS_REMOVE, "DELETE FROM members WHERE group_id=?1")                                                         \
    X(MEMBER_LIST, "SELECT node_id FROM members WHERE group_id=?1 AND node_id>?2 ORDER BY node_id LIMIT ?3")           \
    X(GROUPS_OF_NODE, "SELECT group_id,joined_at FROM members WHERE node_id=?1 ORDER BY group_id LIMIT ?2")            \
    X(IMAGE_GET, "SELECT " IMAGE_COLUMNS " FROM images WHERE id=?1")                                                   \
    X(IMAGE_NAME, "SELECT " IMAGE_COLUMNS " FROM images WHERE org=?1 AND name=?2")                                     \
    X(IMAGE_PUT,                                                                                                       \
      "INSERT INTO images (" IMAGE_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)"     \
      " ON CONFLICT (id) DO UPDATE SET name=?2,type=?3,model=?4,fw_version=?5,project_name=?6,platform=?7,"            \
      "sha256=?8,md5=?9,uploader=?10,signed_by=?11,secure_version=?12,size_bytes=?13,is_archived=?14,"                 \
      "is_ready=?15,uploaded_at=?16,org=?17")                                                                          \
    X(IMAGE_DELETE, "DELETE FROM images WHERE id=?1")                                                                  \
    X(IMAGE_LIST, "SELECT " IMAGE_COLUMNS " FROM images WHERE ?1='' OR rowid<(SELECT rowid FROM images WHERE id=?1)"   \
                  " ORDER BY rowid DESC LIMIT ?2")                                                                     \
    X(IMAGE_USES, "SELECT count(*),count(*) FILTER (WHERE status=0) FROM jobs WHERE image_id=?1")                      \
    X(BLOB_USES, "SELECT count(*) FROM images WHERE sha256=?1")                                                        \
    X(JOB_GET, "SELECT " JOB_COLUMNS " FROM jobs WHERE id=?1")                                                         \
    X(JOB_NAME, "SELECT " JOB_COLUMNS " FROM jobs WHERE org=?1 AND name=?2")                                           \
    X(JOB_PUT, "INSERT INTO jobs (" JOB_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"    \
               "?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,?29,?30,?31,?32,?33,?34,?35)"                          \
               " ON CONFLICT (id) DO UPDATE SET name=?2,image_id=?3,owner=?4,description=?5,groups=?6,query=?7,"       \
               "exclude=?8,plan=?9,stop_reason=?10,metadata=?11,status=?12,is_paused=?13,is_archived=?14,"             \
               "is_force_push=?15,is_continuous=?16,needs_approval=?17,notifies=?18,gives_image=?19,is_host_mcu=?20,"  \
               "skips_project=?21,is_for_everyone=?22,has_named_nodes=?23,priority=?24,created_at=?25,ended_at=?26,"   \
               "expires_at=?27,valid_from=?28,is_serial=?29,serial_max=?30,serial_task_ms=?31,"                        \
               "serial_min_wait_ms=?32,serial_max_wait_ms=?33,org=?34,scope=?35")                                      \
    X(JOB_LIST, "SELECT " JOB_COLUMNS " FROM jobs WHERE ?1='' OR rowid<(SELECT rowid FROM jobs WHERE id=?1)"           \
                " ORDER BY rowid DESC LIMIT ?2")                                                                       \
    X(JOBS_ACTIVE, "SELECT " JOB_COLUMNS " FROM jobs WHERE status=0 ORDER BY priority, rowid DESC")                    \
    X(TARGET_ADD, "INSERT INTO job_targets (job_id,node_id) VALUES (?1,?2) ON CONFLICT DO NOTHING")                    \
    X(TARGET_LIST, "SELECT node_id FROM job_targets WHERE job_id=?1 AND node_id>?2 ORDER BY node_id LIMIT ?3")         \
    X(TARGET_HAS, "SELECT 1 FROM job_targets WHERE job_id=?1 AND node_id=?2")                                          \
    X(STATE_GET, "SELECT " STATE_COLUMNS " FROM job_states WHERE job_id=?1")                                           \
    X(STATE_PUT, "INSERT INTO job_states (" STATE_COLUMNS ")"                                                          \
                 " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16) ON CONFLICT (job_id) DO UPDATE SET" \
                 " counts=?2,failures=?3,push_after=?4,sweep_after=?5,started=?6,refused=?7,audience=?8,"              \
                 "counted_at=?9,phase=?10,phase_at=?11,gate_at=?12,rate_at=?13,bytes_at=?14,is_pushing=?15,sweep=?16") \
    X(JOBS_BUSY, "SELECT job_id FROM job_states WHERE is_pushing<>0 OR sweep<>0 ORDER BY job_id LIMIT ?1")             \
    X(EXECUTION_GET, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE job_id=?1 AND node_id=?2")                    \
    X(EXECUTION_INSERT, "INSERT INTO executions (" EXECUTION_COLUMNS ",timeline,is_open,is_waiting,is_at_work) VALUES" \
                        " (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22)")           \
    X(EXECUTION_UPDATE,                                                                                                \
      "UPDATE executions SET " EXECUTION_SET ",network=?5,deadline_at=?16,is_open=?20,is_waiting=?21,"                 \
      "is_at_work=?22 WHERE job_id=?1 AND node_id=?2")                                                                 \
    /* The same without what indices are made of: when none of it has changed. */                                      \
    X(EXECUTION_TOUCH, "UPDATE executions SET " EXECUTION_SET " WHERE job_id=?1 AND node_id=?2")                       \
    X(EXECUTION_LIST,                                                                                                  \
      "SELECT " EXECUTION_COLUMNS " FROM executions WHERE job_id=?1 AND node_id>?2 ORDER BY node_id LIMIT ?3")         \
    X(EXECUTIONS_OPEN,                                                                                                 \
      "SELECT " EXECUTION_COLUMNS " FROM executions WHERE node_id=?1 AND is_open=1 ORDER BY job_id LIMIT ?2")          \
    X(EXECUTIONS_DUE, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE deadline_at>0 AND deadline_at<=?1"           \
                      " ORDER BY deadline_at LIMIT ?2")                                                                \
    X(EXECUTIONS_NEXT, "SELECT min(deadline_at) FROM executions WHERE deadline_at>0 AND deadline_at>?1")               \
    X(EXECUTIONS_WAITING, "SELECT " EXECUTION_COLUMNS " FROM executions WHERE job_id=?1 AND is_waiting=1"              \
                          " ORDER BY deadline_at LIMIT ?2")                                                            \
    X(NETWORK_LOAD, "SELECT count(*) FROM executions WHERE network=?1 AND is_at_work=1"                                \
                    " AND job_id=?2 AND offered_at>=?3")                                                               \
    X(NETWORK_LOAD_ALL, "SELECT count(*) FROM executions WHERE network=?1 AND is_at_work=1"                            \
                        " AND offered_at>=?2")                                                                         \
    X(TIMELINE_GET, "SELECT timeline FROM executions WHERE job_id=?1 AND node_id=?2")                                  \
    X(OUTBOX_ADD, "INSERT INTO outbox (node_id,job_id,at,topic,text) VALUES (?1,?2,?3,?4,?5)")                         \
    X(OUTBOX_LIST, "SELECT id,node_id,job_id,at,topic FROM outbox WHERE id>?1 ORDER BY id LIMIT ?2")                   \
    X(OUTBOX_TEXT, "SELECT text FROM outbox WHERE id=?1")                                                              \
    X(OUTBOX_DELETE, "DELETE FROM outbox WHERE id=?1")                                                                 \
    X(EVENT_ADD, "INSERT INTO events (" EVENT_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")                            \
    X(EVENT_TRIM, "DELETE FROM events WHERE id<=(SELECT max(id) FROM events)-?1")                                      \
    X(EVENT_LIST, "SELECT id," EVENT_COLUMNS " FROM events WHERE id>?1 ORDER BY id LIMIT ?2")                          \
    X(EVENT_BOUNDS, "SELECT (SELECT min(id) FROM events),(SELECT max(id) FROM events)")                                \
    X(USER_GET, "SELECT " USER_COLUMNS " FROM users WHERE name=?1")                                                    \
    X(USER_GET_ID, "SELECT " USER_COLUMNS " FROM users WHERE id=?1")                                                   \
    X(USER_PUT, "INSERT INTO users (" USER_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"             \
                " ON CONFLICT (id) DO UPDATE SET name=?2,password_hash=?3,code=?4,role=?5,is_verified=?6,"             \
                "is_disabled=?7,failures=?8,locked_until=?9,code_until=?10,created_at=?11,org=?12,scope=?13")          \
    X(USER_LIST, "SELECT " USER_COLUMNS " FROM users WHERE name>?1 ORDER BY name LIMIT ?2")                            \
    X(USER_DELETE, "DELETE FROM users WHERE id=?1")                                                                    \
    X(USER_COUNT, "SELECT count(*) FROM users")                                                                        \
    X(TOKEN_PUT, "INSERT INTO tokens (digest,user_id,expires_at) VALUES (?1,?2,?3) ON CONFLICT (digest) DO UPDATE "    \
                 "SET user_id=?2,expires_at=?3")                                                                       \
    X(TOKEN_GET, "SELECT user_id,expires_at FROM tokens WHERE digest=?1")                                              \
    X(TOKEN_DELETE, "DELETE FROM tokens WHERE digest=?1")                                                              \
    X(TOKENS_DELETE, "DELETE FROM tokens WHERE user_id=?1")                                                            \
    X(CARD_GET, "SELECT value FROM cards WHERE kind=?1 AND key=?2")                                                    \
    X(CARD_PUT, "INSERT INTO cards (kind,key,value) VALUES (?1,?2,?3) ON CONFLICT (kind,key) DO UPDATE SET value=?3")  \
    X(CARD_DELETE, "DELETE FROM cards WHERE kind=?1 AND key=?2")                                                       \
    X(CARD_SCAN, "SELECT key,value FROM cards WHERE kind=?1 AND key>=?2 AND key>?3 ORDER BY key LIMIT ?4")

#define STATEMENT_ENUM(name, sql) S_##name,
enum statement { STATEMENTS(STATEMENT_ENUM) STATEMENT_COUNT };

extern const char *const sql_texts[STATEMENT_COUNT];

#endif
