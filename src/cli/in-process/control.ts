// Owns the engine run once inside the command, when no daemon runs: the only way, with commands/monitor.ts, from
// the command line to the daemon's code.
import type { RemoteControl } from "../../api/client/client.ts";
import type { InProcessOptions, PlaceControl } from "../../api/control.ts";

/** What answers in a daemon's stead. */
export interface OwnEngine extends RemoteControl, AsyncDisposable {
  readonly places: PlaceControl;
  /** Drops what is remembered of a share that is no longer configured. */
  forget(share: string): Promise<void>;
}

/** Rejects with what a start can reject with: `config_…`, `lock_held`, `already_running`, `state_newer`, `home_unwritable`. */
export async function openEngine(options: InProcessOptions): Promise<OwnEngine> {
  const { openInProcess } = await import("../../daemon/in-process-control.ts");
  const control = await openInProcess(options);
  return {
    status: async () => control.status(),
    verify: (selection, signal) => control.verify(selection, signal),
    reconcile: (selection, signal) => control.reconcile(selection, signal),
    mount: (selection, signal) => control.mount(selection, signal),
    unmount: (selection, request, signal) => control.unmount(selection, request, signal),
    switchRoute: (selection, request, signal) => control.switchRoute(selection, request, signal),
    places: control.places,
    forget: (share) => control.forget(share),
    [Symbol.asyncDispose]: () => control[Symbol.asyncDispose](),
  };
}

/** Where the daemon of this home writes its log; absolute. */
export async function daemonLogPath(home: string, userHome: string): Promise<string> {
  const { logFilePath } = await import("../../daemon/compose/log-path.ts");
  return logFilePath({ home, userHome, environment: process.env, platform: process.platform });
}
