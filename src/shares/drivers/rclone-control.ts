// Owns asking a running rclone itself: its remote control, HTTP on a port of 127.0.0.1, behind a password.
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { request } from "node:http";
import { readIfPresent } from "../../runtime/durable-file.ts";
import { jsonObject } from "../../runtime/json-object.ts";
import type { ProcessIdentity } from "../../runtime/process-identity.ts";
import { type RcloneFiles, writeIfChanged } from "./rclone-files.ts";

export interface RcloneControl {
  readonly port: number;
  readonly password: string;
}

/** `failed`: rclone answered that it could not. `unreachable`: it did not answer, or not as rclone does. */
export type ControlAnswer = "done" | "failed" | "unreachable";

const USER = "mountaineer";
const PASSWORD_BYTES = 32;
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
  await writeIfChanged(files.control, `${JSON.stringify({ ...server, port, password })}\n`);
}

/** null: this process is not known to have one. */
export async function controlOf(files: RcloneFiles, server: ProcessIdentity): Promise<RcloneControl | null> {
  const { pid, startTime, port, password } = jsonObject((await readIfPresent(files.control)) ?? "") ?? {};
  if (pid !== server.pid || startTime !== server.startTime) return null;
  return typeof port === "number" && typeof password === "string" ? { port, password } : null;
}

/** Asks the server behind `remote` for its free space: the cheapest question that takes a connection. Never rejects. */
export function askSpace(control: RcloneControl, remote: string, timeoutMs: number): Promise<ControlAnswer> {
  const body = JSON.stringify({ fs: remote });
  return new Promise((resolve) => {
    const asked = request({
      host: "127.0.0.1",
      port: control.port,
      method: "POST",
      path: "/operations/about",
      auth: `${USER}:${control.password}`,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      agent: false,
      signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
    });
    asked.on("error", () => resolve("unreachable"));
    asked.on("response", (response) => {
      response.on("error", () => resolve("unreachable"));
      response.on("end", () => {
        const { statusCode } = response;
        resolve(statusCode === 200 ? "done" : statusCode === 500 ? "failed" : "unreachable");
      });
      response.resume();
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
