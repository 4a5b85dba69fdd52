-- CreateTable
CREATE TABLE "SourceWarning" (
    "sourceName" TEXT NOT NULL,
    "code" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "SourceWarning_pkey" PRIMARY KEY ("sourceName","code")
);

-- AddForeignKey
ALTER TABLE "SourceWarning" ADD CONSTRAINT "SourceWarning_sourceName_fkey" FOREIGN KEY ("sourceName") REFERENCES "Source"("name") ON DELETE CASCADE ON UPDATE CASCADE;
