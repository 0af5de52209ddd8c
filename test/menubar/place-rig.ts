// A management server for one test that answers about aliases and folders, too.
import type { TestContext } from "node:test";
import type { ConfigControl, DaemonControl, PlaceControl } from "../../src/api/control.ts";
import { startManagementServer } from "../../src/api/server/server.ts";
import { silentLogger } from "../../src/runtime/log/log.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface PlaceRigOptions {
  readonly control: DaemonControl;
  readonly config: ConfigControl;
  readonly places: PlaceControl;
}

/** Resolves with the home. */
export async function startPlaceRig(t: TestContext, options: PlaceRigOptions): Promise<string> {
  const home = await temporaryFolder(t);
  const server = await startManagementServer({
    ...options,
    home,
    gateway: null,
    mcpSocket: null,
    clock: systemClock,
    logger: silentLogger,
    version: "0.1.0-test",
  });
  t.after(() => server[Symbol.asyncDispose]());
  return home;
}
