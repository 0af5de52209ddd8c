// Receives request bodies: each within its limit, and all together within theirs.
import type { IncomingMessage } from "node:http";

/** Of all bodies being received at once. */
const TOTAL_LIMIT_BYTES = 256 * 1024 * 1024;

type Body =
  | { readonly kind: "whole"; readonly bytes: Buffer }
  | { readonly kind: "too_large" }
  /** All together are too much at the moment. */
  | { readonly kind: "busy" };

/** Calls `done` once, or never when the client goes away before the end. */
type BodyIntake = (request: IncomingMessage, limitBytes: number, done: (body: Body) => void) => void;

export function createBodyIntake(totalLimitBytes: number = TOTAL_LIMIT_BYTES): BodyIntake {
  let total = 0;
  return (request, limitBytes, done) => {
    const declared = request.headers["content-length"];
    if (declared !== undefined && Number(declared) > limitBytes) {
      done({ kind: "too_large" });
      return;
    }
    // A limit above the total is meant: one such body at a time.
    const allLimit = Math.max(totalLimitBytes, limitBytes);
    let first: Buffer | null = null;
    let rest: Buffer[] | null = null;
    let size = 0;
    let open = true;
    const close = (): boolean => {
      const was = open;
      open = false;
      total -= size;
      size = 0;
      return was;
    };
    const refuse = (kind: "too_large" | "busy"): void => {
      close();
      first = null;
      rest = null;
      request.removeListener("data", onData);
      done({ kind });
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      total += chunk.length;
      if (size > limitBytes) refuse("too_large");
      else if (total > allLimit) refuse("busy");
      else if (first === null) first = chunk;
      else if (rest === null) rest = [first, chunk];
      else rest.push(chunk);
    };
    request.on("data", onData);
    request.on("end", () => {
      if (!close()) return;
      done({ kind: "whole", bytes: rest === null ? (first ?? Buffer.alloc(0)) : Buffer.concat(rest) });
    });
    request.on("close", close);
  };
}
