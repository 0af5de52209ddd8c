// The shares' part in a reload: only what changed is touched, and a mount with open files waits.
import type { Clock } from "../runtime/time/clock.ts";
import type { ShareEngine } from "../shares/engine/share-engine.ts";
import type { AliasLinks } from "../shares/links/alias-links.ts";
import { type SubjectContext, shareSubjects } from "./compose/share-subjects.ts";
import type { RequiredShares } from "./control/required-shares.ts";
import type { ServiceTransition } from "./events/service-transitions.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";
import type { Triggers } from "./triggers.ts";

interface ShareSectionParts {
  readonly engine: ShareEngine;
  readonly aliases: Pick<AliasLinks, "apply" | "trigger">;
  readonly triggers: Pick<Triggers, "configure">;
  readonly clock: Clock;
  readonly context: SubjectContext;
  readonly required: Pick<RequiredShares, "noteConfig">;
  readonly publish: (transition: ServiceTransition) => void;
}

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
          required.noteConfig(after.backends.flatMap(({ requires }) => requires));
          aliases.apply(after);
          engine.triggerAll("config", clock.monotonicMs());
          aliases.trigger("config");
        },
      });
    },
  };
}
