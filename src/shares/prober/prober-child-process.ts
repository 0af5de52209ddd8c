// One prober process: starting it, talking to it, and ending it even when it hangs in the kernel.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { errorText } from "../../runtime/errors.ts";
import { ownNode } from "../../runtime/process/build-copy.ts";
import { childEnvironment } from "../../runtime/process/child-process.ts";
import { programBeside } from "../../runtime/process/program-beside.ts";
import { AT_ONCE, type ProberReply, type ProberRequest } from "./prober-protocol.ts";

interface ProberChildEvents {
  onReply(reply: ProberReply): void;
  /** Called once, never synchronously; also if the process could not be started. */
  onEnd(why: string): void;
}

export type ProberChild = ReturnType<typeof startProberChild>;

/** One thread for each question that may run at once, because all may hang. */
const POOL_SIZE = String(Object.values(AT_ONCE).reduce((sum, count) => sum + count));
/** A small heap, no extra V8 threads and no optimizer (5 MB). */
const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--max-old-space-size=64",
  "--v8-pool-size=0",
  "--no-opt",
  "--no-warnings",
];
/** Environment variables that the system's resolver reads. */
const RESOLVER_VARIABLES = ["RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES"];

export function startProberChild(checkDeadlineMs: number, events: ProberChildEvents) {
  let over = false;
  let crash: string | null = null;
  const { promise: hasEnded, resolve: markEnded } = Promise.withResolvers<void>();
  const end = (why: string): void => {
    markEnded();
    if (over) return;
    over = true;
    events.onEnd(crash ?? why);
  };

  let child: ReturnType<typeof fork>;
  try {
    child = fork(fileURLToPath(programBeside(import.meta.url, "prober-child")), [String(checkDeadlineMs)], {
      execPath: ownNode(),
      execArgv: NODE_FLAGS,
      // No pipes: the child may hang in the kernel forever, and the daemon must not wait for it.
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      cwd: "/",
      // Ctrl-C at a terminal reaches only the daemon.
      detached: true,
      env: { ...childEnvironment(resolverEnvironment()), UV_THREADPOOL_SIZE: POOL_SIZE },
    });
  } catch (error) {
    setImmediate(() => end(errorText(error)));
    return { pid: 0, send() {}, kill: () => Promise.resolve() };
  }
  child.on("message", (message) => {
    if (over) return;
    // The type is right, because the message comes from our own program of the same version.
    const reply = message as ProberReply;
    if (reply.crash !== null) crash = reply.crash;
    events.onReply(reply);
  });
  child.on("error", (error) => {
    if (child.pid === undefined) end(errorText(error));
  });
  child.on("exit", (code, signal) => end(`exit ${signal ?? code}`));
  child.unref();
  child.channel?.unref();

  return {
    /** 0 when it could not be started. */
    pid: child.pid ?? 0,
    /** A message to a child that has ended is lost. */
    send(request: ProberRequest): void {
      if (child.connected) child.send(request, () => {});
    },
    /**
     * Sends SIGKILL and reports no further events. Resolves when the process has ended, which may be never if it is
     * blocked in the kernel.
     */
    kill(): Promise<void> {
      over = true;
      child.kill("SIGKILL");
      if (child.connected) child.disconnect();
      if (child.pid === undefined) markEnded();
      return hasEnded;
    },
  };
}

function resolverEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of RESOLVER_VARIABLES) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
