-- DropIndex
DROP INDEX "IcebergTable_uuid_key";

-- AlterTable
ALTER TABLE "IcebergNamespace" ADD COLUMN     "levels" TEXT[];

-- Namespaces that are there get their levels, and those above a nested one become namespaces of their own.
UPDATE "IcebergNamespace" SET "levels" = string_to_array("name", '.');
INSERT INTO "IcebergNamespace" ("name", "levels", "properties")
SELECT DISTINCT array_to_string("levels"[1:depth], '.'), "levels"[1:depth], '{}'::jsonb
FROM "IcebergNamespace", generate_series(1, cardinality("levels") - 1) AS depth
ON CONFLICT ("name") DO NOTHING;

-- CreateTable
CREATE TABLE "IcebergView" (
    "namespaceName" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "uuid" TEXT NOT NULL,
    "metadataLocation" TEXT NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "IcebergView_pkey" PRIMARY KEY ("namespaceName","name")
);

-- CreateTable
CREATE TABLE "IcebergReply" (
    "id" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "status" INTEGER,
    "body" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "IcebergReply_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "MaintenanceRun" (
    "id" TEXT NOT NULL,
    "tableName" TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    "requestedBy" TEXT,
    "state" TEXT NOT NULL DEFAULT 'queued',
    "result" JSONB NOT NULL DEFAULT '{}',
    "error" JSONB,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "startedAt" TIMESTAMPTZ(3),
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "MaintenanceRun_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "TableUpkeep" (
    "tableName" TEXT NOT NULL,
    "figures" JSONB NOT NULL DEFAULT '{}',
    "updatedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "TableUpkeep_pkey" PRIMARY KEY ("tableName")
);

-- CreateTable
CREATE TABLE "SnapshotPin" (
    "id" TEXT NOT NULL,
    "tableUuid" TEXT NOT NULL,
    "snapshotId" BIGINT NOT NULL,
    "holder" TEXT NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "SnapshotPin_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "ExpiredFile" (
    "location" TEXT NOT NULL,
    "tableUuid" TEXT NOT NULL,
    "dueAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "ExpiredFile_pkey" PRIMARY KEY ("location")
);

-- CreateIndex
CREATE INDEX "IcebergReply_createdAt_idx" ON "IcebergReply"("createdAt");

-- CreateIndex
CREATE INDEX "MaintenanceRun_tableName_createdAt_idx" ON "MaintenanceRun"("tableName", "createdAt");

-- CreateIndex
CREATE INDEX "MaintenanceRun_state_idx" ON "MaintenanceRun"("state");

-- CreateIndex
CREATE INDEX "SnapshotPin_tableUuid_expiresAt_idx" ON "SnapshotPin"("tableUuid", "expiresAt");

-- CreateIndex
CREATE INDEX "ExpiredFile_dueAt_idx" ON "ExpiredFile"("dueAt");

-- AddForeignKey
ALTER TABLE "IcebergView" ADD CONSTRAINT "IcebergView_namespaceName_fkey" FOREIGN KEY ("namespaceName") REFERENCES "IcebergNamespace"("name") ON DELETE RESTRICT ON UPDATE CASCADE;
