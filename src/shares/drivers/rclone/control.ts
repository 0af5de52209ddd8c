// The remote control of a running rclone: HTTP on a port of 127.0.0.1, behind a password.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parseRcloneVersion, type RcloneVersion } from "../../../rclone-release/rclone-version.ts";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import type { ProcessIdentity } from "../../../runtime/process/process-identity.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { writeUnlessFull } from "../share-files.ts";
import type { RcloneFiles } from "./files.ts";
import { rcloneCan } from "./version.ts";

export interface RcloneControl {
  readonly port: number;
  readonly password: string;
}

/**
 * `failed`: rclone answered that it could not do it. `unreachable`: nothing answered, or the answer was not one of
 * rclone's.
 */
type ControlAnswer = "done" | "failed" | "unreachable";

const USER = "mountaineer";
const PASSWORD_BYTES = 32;
const ANSWER_CHARACTERS = 64 * 1024;

/**
 * Number of questions asked at once in the last round, so that rclone opens as many working connections for readers
 * whose own connection is dead.
 */
const STAND_READY = 6;
const QUESTIONS_AT_MOST = 2_048;
const ALL_MS = 2_000;
/**
 * If an answer takes longer than this, ms, rclone first had to connect: it makes connections one after the
 * other, with pauses that double at each failure, up to 2 s.
 */
const PACED_MS = 300;
/**
 * A question that rclone does not answer is aborted after this time, ms. The time is long, because an abort makes
 * rclone try ten times in vain to connect, and each try lengthens rclone's pauses.
 */
const GIVEN_UP_MS = 10 * 60_000;

/** Number of unanswered questions by the port of rclone's remote control. */
const unanswered = new Map<number, number>();

/** Passes the login of the remote control in the environment, because all users can read arguments. */
export function controlEnvironment(password: string): Readonly<Record<string, string>> {
  return { RCLONE_RC_USER: USER, RCLONE_RC_PASS: password };
}

export function newControlPassword(): string {
  return randomBytes(PASSWORD_BYTES).toString("base64url");
}

/**
 * Notes port and password of the process that has just mounted, for this daemon and the next. The port is
 * read from rclone's log.
 */
export async function recordControl(
  files: RcloneFiles,
  server: ProcessIdentity,
  password: string,
): Promise<void> {
  const log = await readFile(files.log, "utf8");
  const port = Number(/Serving remote control on http:\/\/127\.0\.0\.1:(\d+)\//.exec(log)?.[1] ?? "0");
  if (port === 0) return;
  // A missing control file must not fail the mount: rclone then finds its dead connections without help.
  await writeUnlessFull(files.control, `${JSON.stringify({ ...server, port, password })}\n`);
}

/** The remote control of a process; null: none is known. */
export async function controlOf(
  files: RcloneFiles,
  server: ProcessIdentity | null,
): Promise<RcloneControl | null> {
  const { pid, startTime, port, password } = jsonObject((await readIfPresent(files.control)) ?? "") ?? {};
  if (pid !== server?.pid || startTime !== server?.startTime) return null;
  return typeof port === "number" && typeof password === "string" ? { port, password } : null;
}

/**
 * Makes rclone drop its dead connections, because an operation on a dead connection fails. Asks questions over the
 * remote control, each of which uses up the oldest connection, until one question reaches the server; through the
 * mount, the questions would have to wait behind programs. `liveCount`: the maximum number of connections that rclone has.
 * Ends after 2 s, and at the first late or missing answer; does nothing while an earlier question is unanswered.
 * Never rejects.
 */
export async function dropLostConnections(
  clock: Clock,
  control: RcloneControl,
  remote: string,
  liveCount: number,
): Promise<void> {
  if (unanswered.has(control.port)) return;
  const untilMs = clock.monotonicMs() + ALL_MS;
  const remainingMs = (): number => Math.max(1, untilMs - clock.monotonicMs());
  const version = await queryVersion(control, ALL_MS);
  const keepsDead = rcloneCan(version, "keepsDeadConnections");
  const wanted = keepsDead ? liveCount + 1 : 1;
  for (let attempts = 0, served = 0; served < wanted; attempts++) {
    const requestedAtMs = clock.monotonicMs();
    const isLate = attempts >= QUESTIONS_AT_MOST || requestedAtMs >= untilMs;
    const answer = isLate ? "unreachable" : await queryFreeSpace(control, remote, remainingMs());
    // After a slow answer no further questions are asked: rclone pauses between connects, and more questions would
    // make programs wait longer.
    const isPaced = clock.monotonicMs() - requestedAtMs > PACED_MS;
    if (answer === "unreachable" || isPaced) return;
    served = answer === "done" ? served + 1 : 0;
  }
  if (!keepsDead) return;
  await Promise.all(
    Array.from({ length: STAND_READY }, () => queryFreeSpace(control, remote, remainingMs())),
  );
}

/** Asks the server behind `remote` for its free space, the cheapest question that takes a connection. Never rejects. */
export async function queryFreeSpace(
  control: RcloneControl,
  remote: string,
  timeoutMs: number,
): Promise<ControlAnswer> {
  const { status } = await call(control, "operations/about", { fs: remote }, timeoutMs);
  return status === 200 ? "done" : status === 500 ? "failed" : "unreachable";
}

/** Makes rclone list folders of the share again; "": its root. Never rejects. */
export async function refreshFolders(
  control: RcloneControl,
  folders: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const below = folders.filter((folder) => folder !== "");
  const named = Object.fromEntries(below.map((folder, index) => [`dir${index}`, folder]));
  // Only a request without a folder lists the root.
  const requests = [...(below.length < folders.length ? [{}] : []), ...(below.length > 0 ? [named] : [])];
  await Promise.all(requests.map((input) => call(control, "vfs/refresh", input, timeoutMs)));
}

/** The version of the running process, which may differ from the installed one; null: it did not say. Never rejects. */
async function queryVersion(control: RcloneControl, timeoutMs: number): Promise<RcloneVersion | null> {
  const { status, text } = await call(control, "core/version", {}, timeoutMs);
  const { version } = status === 200 ? (jsonObject(text) ?? {}) : {};
  return typeof version === "string" ? parseRcloneVersion(version) : null;
}

/** `status`: 0 if there was no answer. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

function call(
  control: RcloneControl,
  command: string,
  input: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Answer> {
  const body = JSON.stringify(input);
  unanswered.set(control.port, (unanswered.get(control.port) ?? 0) + 1);
  return new Promise((resolve) => {
    const unreachable = (): void => resolve({ status: 0, text: "" });
    // Not imported, because an ESM import of the module also loads fetch, which costs each start of a process
    // 80 ms.
    const request = process.getBuiltinModule("node:http").request({
      host: "127.0.0.1",
      port: control.port,
      method: "POST",
      path: `/${command}`,
      auth: `${USER}:${control.password}`,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      agent: false,
      signal: AbortSignal.timeout(GIVEN_UP_MS),
    });
    const late = setTimeout(() => {
      unreachable();
      request.socket?.unref();
    }, Math.ceil(timeoutMs));
    request.on("close", () => {
      clearTimeout(late);
      const left = (unanswered.get(control.port) ?? 1) - 1;
      if (left > 0) unanswered.set(control.port, left);
      else unanswered.delete(control.port);
    });
    request.on("error", unreachable);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", unreachable);
      response.on("data", (chunk: string) => {
        text = (text + chunk).slice(0, ANSWER_CHARACTERS);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.end(body);
  });
}
