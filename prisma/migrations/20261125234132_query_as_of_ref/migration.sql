-- AlterTable
ALTER TABLE "Query" ADD COLUMN     "asOfRef" TEXT;
