// The gateway run once inside a command while no daemon runs: the same gateway, without a listener.
import type { InProcessGateway, InProcessOptions, ToolOperation } from "../api/in-process.ts";
import { askOf } from "../api/operations/operations.ts";
import { packageVersion } from "../api/version.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { Prober } from "../shares/prober/prober.ts";
import { approvedHome } from "./compose/approved-home.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome } from "./compose/home.ts";
import { startCommandLog } from "./compose/log-settings.ts";
import { loopGuard, requireNoOwnBackend } from "./compose/loop-guard.ts";
import { sealedPinStore } from "./compose/pin-store.ts";
import { openPinnedRoutes } from "./compose/pinned-routes.ts";
import { requirePrivateHere } from "./compose/private-places.ts";
import { signInHome } from "./compose/stored-secrets.ts";
import { withWaiting } from "./control/gateway-status.ts";
import { logTransition, type ServiceTransition } from "./events/service-transitions.ts";
import { createGatewayPart } from "./gateway-part.ts";

/**
 * Opens the gateway. Takes no lock, because it changes nothing in the home, and writes no log file. Rejects
 * as a start does, and with `gateway_off` if no gateway is configured, or if one of its own backends started
 * this process.
 */
export async function openGatewayInProcess({
  home,
  configPath,
  signal,
}: InProcessOptions): Promise<InProcessGateway> {
  const clock = systemClock;
  const environment = process.env;
  const stack = createDisposalStack((error) =>
    process.stderr.write(`end was not clean: ${errorText(error)}\n`),
  );
  try {
    const { place, snapshot: loaded } = await openHome({ home, configPath });
    if (!wantsGateway(loaded.config)) {
      throw new MountaineerError("gateway_off", "no backend is configured", {
        hint: `add a [backends.NAME] section to ${loaded.path}`,
      });
    }
    requireNoOwnBackend(loaded.path, environment);
    await requirePrivateHere(home, loaded);
    const log = stack.use(startCommandLog(null));
    const { logger } = log;
    const publish = (transition: ServiceTransition): void => logTransition(logger, transition);
    const { keeper, snapshot, values } = await approvedHome(
      { place, snapshot: loaded, logger, publish },
      signal,
    );
    let prober: Promise<Prober> | null = null;
    const part = stack.use(
      createGatewayPart({
        clock,
        logger,
        environment: values,
        programEnvironment: loopGuard(loaded.path, environment),
        signIn: signInHome({ home, clock, environment }),
        guarded: { homes: [home], configs: [loaded.path], userHome: place.userHome },
        redact: (secret) => log.redact(secret),
        announce: publish,
        version: packageVersion(),
        pinStore: sealedPinStore({ home, clock, environment }, false),
        nameStore: sealedPinStore({ home, clock, environment }, false, "names"),
        // Read, never written: its key is made by a daemon.
        listStore: { ...sealedPinStore({ home, clock, environment }, false, "lists"), isOurs: false },
        pinnedRoutes: openPinnedRoutes({ home, clock, logger, mayWrite: () => false }),
        listens: false,
        async places(paths, waitMs) {
          prober ??= import("../shares/prober/prober-process.ts").then(({ startProber }) =>
            stack.use(startProber({ clock, logger })),
          );
          return (await prober).places(paths, waitMs);
        },
      }),
    );
    await part.start(snapshot.config);
    signal.throwIfAborted();
    const settled = async (asker: AbortSignal): Promise<void> => {
      await part.settled(asker);
      asker.throwIfAborted();
    };
    const ask = askOf<ToolOperation>(part.control);
    return {
      async ask(name, input, asker) {
        await settled(asker);
        return ask(name, input, asker);
      },
      async status(asker) {
        await settled(asker);
        return withWaiting(part.status(), keeper.conditions());
      },
      serveLines: (stream, folder) => part.serveLines(stream, folder),
      [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
    };
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}
