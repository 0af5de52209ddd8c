// Another user of the machine: all the time tries to take a port and to speak SMB through it, and tells of each try.
// Arguments: UID GUID-IN-HEX. It starts as root and becomes that user, as others may not read a checkout in root's home.
// Lines of stdin say where (Target); its end ends the program. Lines of stdout are Try.
import { readFileSync } from "node:fs";
import { connect, createServer, type ListenOptions } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { buildNegotiateRequest } from "../../../src/network/probe/smb-negotiate.ts";

export interface Target {
  /** Where it connects to; it listens on this machine's addresses. */
  readonly host: string;
  readonly port: number;
  /** The process that mounts over the port; 0: none that would promise anything. */
  readonly rclone: number;
}

export interface Try {
  readonly what: "bind" | "connect";
  readonly form: string;
  readonly port: number;
  /** The mount's process ran before the try, and when its outcome was there. */
  readonly stood: boolean;
  /** "bound", "ended", "late", or an error's code. */
  readonly outcome: string;
  /** Of the server's. */
  readonly bytes: number;
}

type Outcome = Pick<Try, "outcome" | "bytes" | "stood">;

const BETWEEN_BINDS_MS = 10;
const BETWEEN_CONNECTS_MS = 15;
/** A carrier that is killed leaves those who connect waiting. */
const WAITS_MS = 3_000;

const BINDS: Readonly<Record<string, ListenOptions>> = {
  "127.0.0.1": { host: "127.0.0.1" },
  "0.0.0.0": { host: "0.0.0.0" },
  "::": { host: "::" },
  "127.0.0.1 shared": { host: "127.0.0.1", reusePort: true },
  "0.0.0.0 shared": { host: "0.0.0.0", reusePort: true },
};
/** What it does once it has asked: waits for an answer, says that nothing more comes, or is gone. */
const CONNECTS = ["waits", "ends", "leaves"] as const;

function stands(rclone: number): boolean {
  try {
    const stat = readFileSync(`/proc/${rclone}/stat`, "latin1");
    return stat.includes(" (rclone) ") && !stat.includes(") Z ");
  } catch {
    return false;
  }
}

function bindOnce({ port, rclone }: Target, options: ListenOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve({ outcome: error.code ?? "failed", bytes: 0, stood: stands(rclone) }),
    );
    server.listen({ ...options, port }, () => {
      // While it has the port: is the mount over it still there?
      const stood = stands(rclone);
      server.close(() => resolve({ outcome: "bound", bytes: 0, stood }));
    });
  });
}

function connectOnce(
  { host, port, rclone }: Target,
  form: (typeof CONNECTS)[number],
  question: Buffer,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let bytes = 0;
    const socket = connect({ host, port });
    const end = (outcome: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ outcome, bytes, stood: stands(rclone) });
    };
    const timer = setTimeout(() => end("late"), WAITS_MS);
    socket.on("connect", () => {
      if (form === "waits") socket.write(question);
      else if (form === "ends") socket.end(question);
      else socket.write(question, () => end("left"));
    });
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      end("answered");
    });
    socket.on("end", () => end("ended"));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? "failed"));
  });
}

async function main(): Promise<void> {
  const [uid = "", guid = ""] = process.argv.slice(2);
  process.setgroups?.([]);
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
  if (process.getuid?.() !== Number(uid)) throw new Error(`is not user ${uid}`);
  const question = buildNegotiateRequest(Buffer.from(guid, "hex"));

  let target: Target | null = null;
  let ending = false;
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => {
    target = JSON.parse(line);
  });
  input.on("close", () => {
    ending = true;
  });
  const again = async (
    what: Try["what"],
    forms: readonly string[],
    betweenMs: number,
    once: (at: Target, form: string) => Promise<Outcome>,
  ): Promise<void> => {
    for (let turn = 0; !ending; turn++) {
      const at = target;
      if (at !== null) {
        const form = forms[turn % forms.length] ?? "";
        const before = stands(at.rclone);
        const { stood, ...outcome } = await once(at, form);
        const told: Try = { what, form, port: at.port, stood: before && stood, ...outcome };
        process.stdout.write(`${JSON.stringify(told)}\n`);
      }
      await pause(betweenMs);
    }
  };
  await Promise.all([
    again("bind", Object.keys(BINDS), BETWEEN_BINDS_MS, (at, form) => bindOnce(at, BINDS[form] ?? {})),
    // One that waits long keeps none of the others from trying.
    ...CONNECTS.map((form) =>
      again("connect", [form], BETWEEN_CONNECTS_MS, (at) => connectOnce(at, form, question)),
    ),
  ]);
}

await main();
