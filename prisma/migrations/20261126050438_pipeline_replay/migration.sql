-- AlterTable
ALTER TABLE "Pipeline" ADD COLUMN     "replay" JSONB;
