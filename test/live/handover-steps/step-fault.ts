// Preloaded into daemons (`NODE_OPTIONS=--import`): notes each step of a handover as it is done, in the old daemon and in
// the new one, and ends or fails the process at one of them. A step is a message of theirs that is sent or heard, a
// change of a file in the home, a socket that is opened or closed, the home's lock.
import childProcess from "node:child_process";
import { appendFileSync, readFileSync, unlinkSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import path from "node:path";
import type { Fault } from "./steps.ts";

type Run = (...given: unknown[]) => unknown;

const folder = process.env["STEPS_FOLDER"];
const home = process.env["MOUNTAINEER_HOME"];
const MARK = "MOUNTAINEER_SUCCESSOR";

if (folder !== undefined && home !== undefined && process.argv.includes("monitor")) follow(folder, home);

function follow(folder: string, home: string): void {
  let role: "old" | "new" | null = null;
  let fault: Fault | null = null;
  const times = new Map<string, number>();

  const begin = (as: "old" | "new"): void => {
    role = as;
    times.clear();
    try {
      const planned: Fault = JSON.parse(readFileSync(path.join(folder, "fault.json"), "utf8"));
      fault = planned.step.startsWith(`${as} `) ? planned : null;
    } catch {
      fault = null;
    }
  };
  /** Those of a first and a second time are steps of their own. */
  const named = (what: string): string | null => {
    if (role === null) return null;
    const name = `${role} ${what}`;
    const count = (times.get(name) ?? 0) + 1;
    times.set(name, count);
    return count === 1 ? name : count === 2 ? `${name} again` : null;
  };
  const isDue = (step: string | null, how: Fault["how"]): boolean => {
    if (step === null || fault?.step !== step || fault.how !== how) return false;
    fault = null;
    // Whoever tries again is to come through.
    unlinkSync(path.join(folder, "fault.json"));
    appendFileSync(path.join(folder, "seen"), `${step}\n`);
    return true;
  };
  const done = (step: string | null): void => {
    if (step === null) return;
    if (isDue(step, "is killed")) process.kill(process.pid, "SIGKILL");
    appendFileSync(path.join(folder, "seen"), `${step}\n`);
  };
  const failure = (step: string | null): Error =>
    Object.assign(new Error(`EIO: made to fail, ${step}`), { code: "EIO", errno: -5, syscall: "test" });
  /** What the step is called, from what it is given; undefined: it is none. */
  const wrap = (run: Run, name: (given: unknown[]) => string | undefined): Run =>
    function (this: unknown, ...given) {
      const what = name(given);
      const step = what === undefined ? null : named(what);
      if (isDue(step, "fails")) throw failure(step);
      const out = Reflect.apply(run, this, given);
      if (out instanceof Promise) return out.finally(() => done(step));
      done(step);
      return out;
    };
  const wrapAsync = (run: Run, name: (given: unknown[]) => string | undefined): Run => {
    const wrapped = wrap(run, name);
    return async function (this: unknown, ...given) {
      return Reflect.apply(wrapped, this, given);
    };
  };
  const inHome = (given: unknown): string | undefined => {
    const file = String(given);
    if (!file.startsWith(`${home}${path.sep}`)) return undefined;
    return path.relative(home, file).replaceAll(/[0-9a-f]{12,}|\d+/gu, "N");
  };
  const saidIn = ([message]: unknown[]): string | undefined =>
    typeof message === "object" && message !== null && "say" in message ? String(message.say) : undefined;

  const set = (of: object, name: string, make: (run: Run) => Run): void => {
    const run: unknown = Reflect.get(of, name);
    if (typeof run === "function") Reflect.set(of, name, make(run as Run));
  };
  const speaks = (of: object): void => {
    set(of, "send", (run) => wrap(run, (given) => prefixed("sends", saidIn(given))));
    set(of, "emit", (run) =>
      wrap(run, ([event, ...given]) => (event === "message" ? prefixed("hears", saidIn(given)) : undefined)),
    );
  };

  for (const name of ["unlink", "rm", "truncate"]) {
    set(files, name, (run) => wrapAsync(run, ([file]) => prefixed(`${name}s`, inHome(file))));
  }
  set(files, "rename", (run) => wrapAsync(run, ([, to]) => prefixed("replaces", inHome(to))));
  set(files, "open", (run) => {
    return async function (this: unknown, ...given) {
      const handle = await (Reflect.apply(run, this, given) as Promise<object>);
      const place = inHome(given[0]);
      for (const name of ["sync", "datasync"]) {
        if (place !== undefined) set(handle, name, (sync) => wrapAsync(sync, () => `syncs ${place}`));
      }
      return handle;
    };
  });
  set(net.Server.prototype, "listen", (run) => wrap(run, ([at]) => `listens ${placeOf(at, inHome)}`));
  set(net.Server.prototype, "close", (run) => wrap(run, () => "closes a server"));
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  set(DatabaseSync.prototype, "exec", (run) => wrap(run, () => "locks"));
  set(DatabaseSync.prototype, "close", (run) => wrap(run, () => "unlocks"));
  set(childProcess, "spawn", (run) => {
    return function (this: unknown, ...given) {
      const [, , options] = given;
      const env = typeof options === "object" && options !== null && "env" in options ? options.env : null;
      const isNext = typeof env === "object" && env !== null && Reflect.get(env, MARK) === "1";
      if (!isNext) return Reflect.apply(run, this, given);
      begin("old");
      const child = Reflect.apply(
        wrap(run, () => "starts the next one"),
        this,
        given,
      );
      if (typeof child === "object" && child !== null) speaks(child);
      return child;
    };
  });
  syncBuiltinESMExports();
  if (process.env[MARK] === "1") {
    begin("new");
    speaks(process);
  }
}

function prefixed(word: string, what: string | undefined): string | undefined {
  return what === undefined ? undefined : `${word} ${what}`;
}

/** A path, a port or a socket that was handed over. */
function placeOf(at: unknown, inHome: (file: unknown) => string | undefined): string {
  if (typeof at === "string") return inHome(at) ?? "elsewhere";
  if (typeof at === "object" && at !== null && "path" in at) return inHome(at.path) ?? "elsewhere";
  return "at the door";
}
