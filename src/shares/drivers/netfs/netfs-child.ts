// The process that makes one call into NetFS: the request comes by stdin, because it holds the password, and
// the answer goes to stdout. On SIGTERM it cancels the mount before it ends: a process that is killed during
// the call is reported to leave macOS's own helper stuck for the rest of the login session.

import { errorText } from "../../../runtime/errors.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import { CANCELLED, loadNetfs, type NetfsCall } from "./binding.ts";
import type { NetfsChildAnswer, NetfsChildRequest } from "./process.ts";

/** Interval of a timer, ms, that keeps the process alive: waiting for the callback does not. */
const KEEP_ALIVE_MS = 60_000;

async function answer(endRequested: Promise<void>): Promise<NetfsChildAnswer> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) text += chunk;
  // The parent is our own daemon in the same version.
  const { libraries, request } = parseJson(text) as NetfsChildRequest;
  let mount: Awaited<ReturnType<typeof loadNetfs>>;
  try {
    mount = await loadNetfs(libraries);
  } catch (error) {
    return { kind: "unavailable", text: errorText(error) };
  }
  let call: NetfsCall;
  try {
    call = mount(request);
  } catch (error) {
    return { kind: "failed", text: errorText(error) };
  }
  const called = call.answer.then(
    (found): NetfsChildAnswer =>
      found.status === CANCELLED ? { kind: "cancelled" } : { kind: "called", ...found },
  );
  // Without a cancel, the mount is done or cannot be cancelled: its result is the answer. The parent's deadline is the
  // limit for all of this.
  const cancelled = endRequested.then(async (): Promise<NetfsChildAnswer> => {
    return (await call.cancel()) ? { kind: "cancelled" } : called;
  });
  return Promise.race([called, cancelled]);
}

const alive = setInterval(() => {}, KEEP_ALIVE_MS);
const endRequested = new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
process.stdout.write(`${JSON.stringify(await answer(endRequested))}\n`);
clearInterval(alive);
