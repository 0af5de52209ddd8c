// Runs a service, then with the configuration that LATER has; prints which files were loaded before that and in all.
import { writeFile } from "node:fs/promises";
import { registerHooks } from "node:module";
import { join } from "node:path";

const loaded = new Set<string>();
registerHooks({
  load(url, context, nextLoad) {
    loaded.add(url);
    return nextLoad(url, context);
  },
});

const { eventually } = await import("../../support/eventually.ts");
const { openHome } = await import("../../../src/daemon/compose/home.ts");
const { startSentinelService } = await import("../../../src/daemon/daemon-service.ts");
const { openStateStore } = await import("../../../src/reconcile/state-file.ts");
const { noopLogger: logger } = await import("../../../src/runtime/log/log.ts");
const { systemClock: clock } = await import("../../../src/runtime/time/clock.ts");

const environment = process.env;
const home = environment["MOUNTAINEER_HOME"] ?? "";
const options = { home, configPath: null, environment, writesStarter: false, fallsBack: false, clock };
const { homeContext, snapshot, rejected } = await openHome(options);
let before: string[] = [];
await using memory = await openStateStore({ path: join(home, "state.json"), clock, logger });
{
  await using service = await startSentinelService({
    home,
    homeContext,
    environment,
    snapshot,
    rejected,
    memory,
    clock,
    logger,
    redact: () => {},
    intervalMs: null,
    unmountOnExit: false,
  });
  service.control.status();
  before = [...loaded];
  await writeFile(snapshot.path, environment["LATER"] ?? "");
  await service.reload(new AbortController().signal);
  await eventually(() => loaded.size > before.length);
}
process.stdout.write(JSON.stringify({ before, after: [...loaded] }));
