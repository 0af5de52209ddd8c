// The SHA-256 of a content.
import { createHash } from "node:crypto";

/** 64 hexadecimal digits. Text counts as UTF-8, and null (there is no file) as empty. */
export function sha256Of(content: Uint8Array | string | null): string {
  return createHash("sha256")
    .update(content ?? "")
    .digest("hex");
}
