// Makes text from a backend fit for logs and people.
import { stripVTControlCharacters } from "node:util";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { harmless } from "../../../runtime/text/plain-text.ts";

const LINE_LENGTH = 4_096;
/** Looked at of a longer text. */
const READ_LENGTH = 64 * 1024;

/** Makes one line fit to be kept and shown: no control characters, no secrets, at most 4 KiB. */
export type CleanLine = (line: string) => string;

/** `secrets` never appear in what comes out. */
export function createLineCleaner(secrets: readonly string[]): CleanLine {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret);
  return (line) => {
    // Redacted before it is cut: half a secret is one, too.
    const plain = harmless(redaction.clean(stripVTControlCharacters(line.slice(0, READ_LENGTH))));
    return plain.length > LINE_LENGTH ? `${plain.slice(0, LINE_LENGTH)}…` : plain;
  };
}
