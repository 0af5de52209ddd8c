// A guest under QEMU that runs the suite and says its verdicts, a line each, over a serial line.
import { type ChildProcess, spawn } from "node:child_process";
import { access, constants, mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { jsonObject } from "../../src/runtime/text/json-object.ts";
import type { GuestImage } from "./image.ts";
import { withSystemFolders } from "./payload.ts";

export interface Verdict {
  readonly id: string;
  readonly ok: boolean;
  /** What was seen, or what was wrong. */
  readonly text: string;
  readonly tookMs: number;
}

export interface GuestMachine extends AsyncDisposable {
  /** Resolves when the guest has said it; rejects when the guest has ended without. Each id is said once at most. */
  verdict(id: string): Promise<Verdict>;
  /** When the guest has ended, by itself or by the limit: what it said that nobody has asked for. */
  rest(): Promise<readonly Verdict[]>;
  /** How it runs, and the first words of the guest. */
  readonly started: string;
}

export interface GuestOptions {
  readonly image: GuestImage;
  readonly payload: string;
  /** For logs, and for what the guest writes to its disk. */
  readonly folder: string;
  /** Words on the kernel's command line. */
  readonly suite: readonly string[];
  readonly limitMs: number;
  readonly tell: (line: string) => void;
}

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly up: Promise<string>;
  readonly said: Map<string, Verdict>;
  readonly notes: string[];
}

const CONSOLE = "console.log";
const SOFTWARE = "tcg,thread=multi";
/** A guest that the processor runs itself is up within two seconds, or hangs for good. */
const KVM_UP_MS = 8_000;
const UP_MS = 90_000;
const NOTES_KEPT = 400;
const ENDS_MS = 5_000;

/** Boots by the processor's own virtualization where that works, else by software. Rejects when no guest comes up. */
export async function startGuest(options: GuestOptions): Promise<GuestMachine> {
  await mkdir(options.folder, { recursive: true });
  const accelerators = (await isUsable("/dev/kvm")) ? ["kvm", SOFTWARE] : [SOFTWARE];
  let failure: unknown = null;
  for (const accelerator of accelerators) {
    const startedAt = performance.now();
    const run = boot(options, accelerator);
    try {
      const words = await within(run.up, accelerator === "kvm" ? KVM_UP_MS : UP_MS, "no guest came up");
      const tookS = ((performance.now() - startedAt) / 1000).toFixed(1);
      options.tell(`guest: ${words}; by ${accelerator}, ${tookS} s`);
      return machine(options, run, `${words} (${accelerator}, ${tookS} s)`);
    } catch (error) {
      failure = error;
      await end(run);
      options.tell(`guest: not by ${accelerator}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`the guest did not boot; its console: ${await consoleTail(options.folder)}`, {
    cause: failure,
  });
}

function boot({ image, payload, folder, suite, tell }: GuestOptions, accelerator: string): Run {
  const drive = (file: string, more: string): string[] => [
    "-drive",
    `file=${file},if=virtio,format=raw,${more}`,
  ];
  const child = spawn(
    "qemu-system-x86_64",
    [
      ...["-M", "pc", "-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : "max,cx16=off"],
      ...["-m", "1536", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-kernel", image.kernel, "-initrd", image.initrd],
      "-append",
      `console=ttyS0 quiet loglevel=5 panic=1 mitigations=off random.trust_cpu=on suite=${suite.join(",")}`,
      ...drive(image.disk, "snapshot=on,cache=unsafe"),
      ...drive(payload, "readonly=on"),
      ...["-chardev", `file,id=console,path=${path.join(folder, CONSOLE)}`, "-serial", "chardev:console"],
      ...["-chardev", "stdio,id=verdicts,signal=off", "-serial", "chardev:verdicts"],
    ],
    { stdio: ["pipe", "pipe", "pipe"], env: { ...withSystemFolders(), TMPDIR: folder } },
  );
  child.stdin.on("error", () => {});
  const said = new Map<string, Verdict>();
  const notes: string[] = [];
  const note = (line: string): void => {
    notes.push(line);
    if (notes.length > NOTES_KEPT) notes.shift();
  };
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      note(`qemu: ${error.message}`);
      resolve();
    });
    child.once("close", () => resolve());
  });
  const up = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const text = line.trim();
      if (text.startsWith("guest-up ")) return resolve(text.slice("guest-up ".length));
      const verdict = text.startsWith("verdict ") ? parseVerdict(text.slice("verdict ".length)) : null;
      if (verdict === null) {
        if (text === "") return;
        note(text);
        tell(`     ${text}`);
        return;
      }
      said.set(verdict.id, verdict);
      tell(
        `${verdict.ok ? "ok  " : "FAIL"} ${verdict.id} (${(verdict.tookMs / 1000).toFixed(1)} s): ${verdict.text}`,
      );
    });
    createInterface({ input: child.stderr }).on("line", (line) => note(`qemu: ${line}`));
    void ended.then(() => reject(new Error(`qemu ended: ${notes.slice(-3).join(" | ")}`)));
  });
  // Whoever waits for it may have given up.
  up.catch(() => {});
  return { child, ended, up, said, notes };
}

function machine({ folder, limitMs }: GuestOptions, run: Run, started: string): GuestMachine {
  const asked = new Set<string>();
  let overLimit = false;
  const limit = setTimeout(() => {
    overLimit = true;
    void end(run);
  }, limitMs);
  const ended = run.ended.finally(() => clearTimeout(limit));
  return {
    started,
    async verdict(id) {
      asked.add(id);
      let isOver = false;
      void ended.then(() => {
        isOver = true;
      });
      for (;;) {
        const verdict = run.said.get(id);
        if (verdict !== undefined) return verdict;
        if (isOver) {
          const why = overLimit
            ? `the guest was ended after ${Math.round(limitMs / 1000)} s`
            : "the guest ended";
          const said = run.notes.slice(-40).join("\n");
          throw new Error(`${why} without a word on ${id}\n${said}\n${await consoleTail(folder)}`);
        }
        await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 50))]);
      }
    },
    async rest() {
      await ended;
      return [...run.said.values()].filter(({ id }) => !asked.has(id));
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(limit);
      await end(run);
    },
  };
}

/** By its own id; it has nothing to finish. */
async function end({ child, ended }: Run): Promise<void> {
  child.kill("SIGKILL");
  await within(ended, ENDS_MS, "qemu did not end");
}

function parseVerdict(text: string): Verdict | null {
  const { id, ok, text: said, tookMs } = jsonObject(text) ?? {};
  if (typeof id !== "string" || typeof ok !== "boolean" || typeof said !== "string") return null;
  return { id, ok, text: said, tookMs: typeof tookMs === "number" ? tookMs : 0 };
}

async function consoleTail(folder: string): Promise<string> {
  const text = await readFile(path.join(folder, CONSOLE), "utf8").catch(() => "");
  return text.slice(-3000);
}

async function within<T>(promise: Promise<T>, ms: number, failure: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${failure} within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isUsable(file: string): Promise<boolean> {
  return access(file, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}
