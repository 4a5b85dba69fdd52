-- AlterTable
ALTER TABLE "Source" ADD COLUMN     "memory" TEXT;

-- AlterTable
ALTER TABLE "SourceTable" ADD COLUMN     "snapshot" JSONB;

-- AlterTable
ALTER TABLE "IcebergTable" ADD COLUMN     "isUnfinished" BOOLEAN NOT NULL DEFAULT false;
