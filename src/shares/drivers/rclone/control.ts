// The remote control of a running rclone: HTTP on a port of 127.0.0.1, behind a password.
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { request } from "node:http";
import { readIfPresent } from "../../../runtime/files/durable-file.ts";
import type { ProcessIdentity } from "../../../runtime/process/process-identity.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { isDiskFull, writeIfChanged } from "../share-files.ts";
import { parseRcloneVersion, type RcloneVersion } from "./available.ts";
import type { RcloneFiles } from "./files.ts";

export interface RcloneControl {
  readonly port: number;
  readonly password: string;
}

/** `failed`: rclone answered that it could not. `unreachable`: it did not answer, or not as rclone does. */
type ControlAnswer = "done" | "failed" | "unreachable";

const USER = "mountaineer";
const PASSWORD_BYTES = 32;
const ANSWER_CHARACTERS = 64 * 1024;
/** The line that tells the port is among the first. */
const LOG_BYTES = 64 * 1024;

/** Not among the arguments: those everybody may read. */
export function controlEnvironment(password: string): Readonly<Record<string, string>> {
  return { RCLONE_RC_USER: USER, RCLONE_RC_PASS: password };
}

export function newControlPassword(): string {
  return randomBytes(PASSWORD_BYTES).toString("base64url");
}

/** Notes how the process that has just mounted is asked, for this daemon and the next. It is known from its log alone. */
export async function noteControl(
  files: RcloneFiles,
  server: ProcessIdentity,
  password: string,
): Promise<void> {
  const port = portIn(await beginningOf(files.log));
  if (port === null) return;
  try {
    await writeIfChanged(files.control, `${JSON.stringify({ ...server, port, password })}\n`);
  } catch (error) {
    // Without it rclone finds its dead connections itself: the mount is worth more.
    if (!isDiskFull(error)) throw error;
  }
}

/** null: this process is not known to have one. */
export async function controlOf(files: RcloneFiles, server: ProcessIdentity): Promise<RcloneControl | null> {
  const { pid, startTime, port, password } = jsonObject((await readIfPresent(files.control)) ?? "") ?? {};
  if (pid !== server.pid || startTime !== server.startTime) return null;
  return typeof port === "number" && typeof password === "string" ? { port, password } : null;
}

/** Asks the server behind `remote` for its free space: the cheapest question that takes a connection. Never rejects. */
export async function askSpace(
  control: RcloneControl,
  remote: string,
  timeoutMs: number,
): Promise<ControlAnswer> {
  const { status } = await ask(control, "operations/about", { fs: remote }, timeoutMs);
  return status === 200 ? "done" : status === 500 ? "failed" : "unreachable";
}

/** Of the process that runs, whatever is installed by now; null: it did not say. Never rejects. */
export async function askVersion(control: RcloneControl, timeoutMs: number): Promise<RcloneVersion | null> {
  const { status, text } = await ask(control, "core/version", {}, timeoutMs);
  const { version } = status === 200 ? (jsonObject(text) ?? {}) : {};
  return typeof version === "string" ? parseRcloneVersion(version) : null;
}

/** `status`: 0 when nothing answered. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

function ask(
  control: RcloneControl,
  command: string,
  input: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Answer> {
  const body = JSON.stringify(input);
  return new Promise((resolve) => {
    const unreachable = (): void => resolve({ status: 0, text: "" });
    const asked = request({
      host: "127.0.0.1",
      port: control.port,
      method: "POST",
      path: `/${command}`,
      auth: `${USER}:${control.password}`,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      agent: false,
      signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
    });
    asked.on("error", unreachable);
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", unreachable);
      response.on("data", (chunk: string) => {
        text = (text + chunk).slice(0, ANSWER_CHARACTERS);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.end(body);
  });
}

function portIn(log: string): number | null {
  const port = Number(/Serving remote control on http:\/\/127\.0\.0\.1:(\d+)\//.exec(log)?.[1] ?? "0");
  return port > 0 ? port : null;
}

async function beginningOf(path: string): Promise<string> {
  await using file = await open(path);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(LOG_BYTES), 0, LOG_BYTES, 0);
  return buffer.toString("utf8", 0, bytesRead);
}
