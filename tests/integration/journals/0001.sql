BEGIN TRANSACTION;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE announcements (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    delivery TEXT,
    sha TEXT,
    "before" TEXT,
    forced BOOLEAN NOT NULL,
    "trigger" TEXT NOT NULL,
    received_at DATETIME NOT NULL,
    deployment_id INTEGER,
    CONSTRAINT fk_announcements_delivery FOREIGN KEY(delivery) REFERENCES deliveries (guid),
    CONSTRAINT fk_announcements_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE claims (
    path TEXT NOT NULL,
    dag_id TEXT NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (path, dag_id)
);
CREATE TABLE condemned (
    path TEXT NOT NULL,
    blob TEXT NOT NULL,
    reason TEXT NOT NULL,
    at DATETIME NOT NULL,
    CONSTRAINT pk_condemned PRIMARY KEY (path, blob)
);
CREATE TABLE covers (
    deployment_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    sha TEXT NOT NULL,
    CONSTRAINT pk_covers PRIMARY KEY (deployment_id, position),
    CONSTRAINT fk_covers_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE deliveries (
    id INTEGER NOT NULL,
    guid TEXT NOT NULL,
    event TEXT NOT NULL,
    result TEXT NOT NULL,
    reason TEXT NOT NULL,
    ref TEXT,
    "before" TEXT,
    "after" TEXT,
    forced BOOLEAN,
    pusher TEXT,
    repo_id BIGINT,
    repo TEXT,
    known_as TEXT,
    received_at DATETIME NOT NULL,
    CONSTRAINT pk_deliveries PRIMARY KEY (id),
    CONSTRAINT uq_deliveries_guid UNIQUE (guid)
);
CREATE TABLE deployments (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha TEXT NOT NULL,
    base_sha TEXT,
    ref TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    state TEXT NOT NULL,
    queued_at DATETIME NOT NULL,
    started_at DATETIME,
    finished_at DATETIME,
    reason TEXT NOT NULL,
    "plan" JSON NOT NULL,
    ending JSON,
    running JSON,
    waits_for TEXT
);
CREATE TABLE folders (
    deployment_id INTEGER NOT NULL,
    folder TEXT NOT NULL,
    CONSTRAINT pk_folders PRIMARY KEY (deployment_id, folder),
    CONSTRAINT fk_folders_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE freezes (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    why TEXT NOT NULL,
    "by" TEXT NOT NULL,
    since DATETIME NOT NULL,
    until DATETIME,
    sha TEXT,
    ended_at DATETIME,
    ended_by TEXT
);
CREATE TABLE logins (
    fingerprint TEXT NOT NULL,
    until DATETIME,
    CONSTRAINT pk_logins PRIMARY KEY (fingerprint)
);
CREATE TABLE outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    place INTEGER NOT NULL,
    standing TEXT NOT NULL,
    sha TEXT NOT NULL,
    context TEXT NOT NULL,
    context_key TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    owed_since DATETIME NOT NULL,
    due_at DATETIME NOT NULL,
    target_url TEXT,
    posted_at DATETIME,
    attempts INTEGER NOT NULL,
    error TEXT
);
CREATE TABLE refusals (
    fingerprint TEXT NOT NULL,
    reason TEXT NOT NULL,
    path TEXT,
    at DATETIME NOT NULL,
    CONSTRAINT pk_refusals PRIMARY KEY (fingerprint)
);
CREATE TABLE statements (
    deployment_id INTEGER NOT NULL,
    place INTEGER NOT NULL,
    CONSTRAINT pk_statements PRIMARY KEY (deployment_id, place),
    CONSTRAINT fk_statements_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE steps (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    deployment_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at DATETIME NOT NULL,
    finished_at DATETIME NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT fk_steps_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE verdicts (
    deployment_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    outcome TEXT NOT NULL,
    dag_ids JSON NOT NULL,
    error JSON,
    proof TEXT NOT NULL,
    waited_s FLOAT NOT NULL,
    warnings JSON,
    CONSTRAINT pk_verdicts PRIMARY KEY (deployment_id, path),
    CONSTRAINT fk_verdicts_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE worker (
    id INTEGER NOT NULL,
    live_sha TEXT,
    live_held JSON NOT NULL,
    live_pending JSON DEFAULT '[]' NOT NULL,
    live_stays JSON DEFAULT '[]' NOT NULL,
    packages TEXT,
    drift TEXT DEFAULT '' NOT NULL,
    beat_at DATETIME,
    tip TEXT,
    tip_checked_at DATETIME,
    tip_since DATETIME,
    closed_at DATETIME,
    closed_for_s FLOAT,
    drained JSON DEFAULT '{}' NOT NULL,
    processors JSON DEFAULT '[]' NOT NULL,
    edited TEXT DEFAULT '' NOT NULL,
    link_key TEXT NOT NULL,
    CONSTRAINT pk_worker PRIMARY KEY (id)
);
INSERT INTO "worker" VALUES(1,NULL,'[]','[]','[]',NULL,'',NULL,NULL,NULL,NULL,NULL,NULL,'{}','[]','','kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk');
CREATE INDEX ix_deliveries_after ON deliveries ("after");
CREATE INDEX ix_deployments_state ON deployments (state);
CREATE INDEX ix_deployments_sha ON deployments (sha);
CREATE INDEX ix_claims_dag_id ON claims (dag_id);
CREATE INDEX ix_outbox_place ON outbox (place);
CREATE INDEX ix_outbox_said ON outbox (sha, context_key, id);
CREATE INDEX ix_announcements_sha ON announcements (sha);
CREATE INDEX ix_announcements_deployment_id ON announcements (deployment_id);
CREATE INDEX ix_announcements_delivery ON announcements (delivery);
CREATE INDEX ix_covers_sha ON covers (sha);
CREATE INDEX ix_folders_folder ON folders (folder);
CREATE INDEX ix_steps_deployment_id ON steps (deployment_id);
CREATE INDEX ix_verdicts_path ON verdicts (path);
CREATE INDEX ix_announcements_unseen ON announcements (id) WHERE deployment_id IS NULL;
CREATE UNIQUE INDEX ix_outbox_owed ON outbox (sha, context_key) WHERE standing = 'owed';
DELETE FROM "sqlite_sequence";
COMMIT;
