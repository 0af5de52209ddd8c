// The shares inside the service: their places and triggers, and their part in a reload.
import type { MountaineerConfig } from "../config/snapshot.ts";
import type { Bus } from "../runtime/bus.ts";
import type { DisposalStack } from "../runtime/disposal.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import type { ShareEngine } from "../shares/engine/share-engine.ts";
import type { AliasLinks } from "../shares/links/alias-links.ts";
import type { Prober } from "../shares/prober/prober.ts";
import type { EngineParts } from "./compose/engine-parts.ts";
import { formerSubject, type SubjectContext, shareSubjects } from "./compose/share-subjects.ts";
import { openAliasControl } from "./control/alias-control.ts";
import type { RequiredShares } from "./control/required-shares.ts";
import { createShareControl } from "./control/share-control.ts";
import { shareStatus } from "./control/share-status.ts";
import type { ServiceTransition } from "./events/service-transitions.ts";
import { createShareMetrics } from "./events/share-metrics.ts";
import { startShareTraffic } from "./events/share-traffic.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";
import { startTriggers, type Triggers } from "./triggers.ts";

interface SharePartOptions extends RuntimeTools {
  readonly home: string;
  readonly parts: EngineParts;
  readonly prober: Prober;
  readonly first: MountaineerConfig;
  readonly context: SubjectContext;
  readonly required: Pick<RequiredShares, "configChanged">;
  readonly bus: Bus<ServiceTransition>;
  readonly publish: (transition: ServiceTransition) => void;
}

/** Starts the engine with its first shares. All parts end with `stack`. */
export async function startSharePart(options: SharePartOptions, stack: DisposalStack) {
  const { parts, prober, first, context, bus, clock } = options;
  const { engine } = parts;
  engine.apply(shareSubjects(first, context), (name) => formerSubject(name, first, context));
  const aliasService = stack.use(await openAliasControl({ ...options, readOnly: false }));
  const { aliases } = aliasService;
  const { intervalMs } = context;
  const triggers = startTriggers({ ...options, ...parts, aliases, intervalMs }, stack);
  const status = (name: string) => shareStatus(engine.view(name));
  const traffic = stack.use(startShareTraffic({ engine, status, prober, clock }));
  const metrics = createShareMetrics(engine, traffic);
  stack.defer(bus.subscribe(metrics.handle));
  return {
    ...createShareControl(engine, clock, parts),
    aliasService,
    triggers,
    metrics,
    traffic,
    applier: shareSection({ ...options, engine, aliases, triggers }),
  };
}

interface ShareSectionParts extends Pick<SharePartOptions, "clock" | "context" | "required" | "publish"> {
  readonly engine: ShareEngine;
  readonly aliases: Pick<AliasLinks, "apply" | "trigger">;
  readonly triggers: Pick<Triggers, "configure">;
}

/**
 * Applies changes of shares and aliases. Does not touch unchanged shares, or a mount whose files are open.
 */
export function shareSection(parts: ShareSectionParts): ConfigApplier {
  const { engine, aliases, triggers, clock, context, required, publish } = parts;
  return {
    name: "shares",
    prepare({ after, diff }) {
      const subjects = shareSubjects(after, context);
      return Promise.resolve({
        commit() {
          for (const share of diff.shares.removed) {
            const { activeInterface } = engine.view(share).memory;
            publish({ name: "share.unmanaged", share, left_mounted_over: activeInterface });
          }
          triggers.configure(after);
          engine.apply(subjects);
          required.configChanged(after.backends.flatMap(({ requires }) => requires));
          aliases.apply(after);
          engine.triggerAll("config", clock.monotonicMs());
          aliases.trigger("config");
        },
      });
    },
  };
}
