// Metrics of shares: the route of each, and how often it changed.
import type { Measured } from "../../gateway/telemetry/metric-families.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import { routesOf } from "../../shares/share-spec.ts";
import type { ServiceTransition } from "./service-transitions.ts";
import type { startShareTraffic } from "./share-traffic.ts";

/** The transitions that are counted, and the name of each change in the metrics. */
const CHANGES: Readonly<Record<string, string>> = {
  "share.failover": "failover",
  "share.recovered": "recovered",
  "share.switched": "switched",
  "share.remounted": "remounted",
  "share.vanished": "vanished",
  "share.mount_failed": "mount_failed",
  "share.move_failed": "move_failed",
};

export function createShareMetrics(
  engine: Pick<ShareEngine, "names" | "view">,
  traffic: Pick<ReturnType<typeof startShareTraffic>, "of">,
) {
  /** Counts of changes: by share, then by kind of change. */
  const changes = new Map<string, Map<string, number>>();
  const moves = new Map<string, number>();
  return {
    handle(transition: ServiceTransition): void {
      const change = CHANGES[transition.name];
      if (change === undefined || !("share" in transition)) return;
      const { share } = transition;
      const ofShare = changes.get(share) ?? new Map<string, number>();
      ofShare.set(change, (ofShare.get(change) ?? 0) + 1);
      changes.set(share, ofShare);
      if ("moved" in transition && transition.moved === true) moves.set(share, (moves.get(share) ?? 0) + 1);
    },
    measured(): readonly Measured[] {
      const { names } = engine;
      // The counts of shares that are no longer configured are dropped.
      for (const gone of [...changes.keys()].filter((name) => !names.includes(name))) {
        changes.delete(gone);
        moves.delete(gone);
      }
      const views = names.map((share) => ({ share, ...engine.view(share) }));
      return [
        {
          name: "mountaineer.share.route",
          help: "The route that each share is on, or none: 1.",
          kind: "gauge",
          values: views.map(({ share, memory }) => ({
            labels: { share, route: memory.activeInterface },
            value: 1,
          })),
        },
        {
          name: "mountaineer.share.route.reachable",
          help: "Whether the host of each route answers: 1, or 0.",
          kind: "gauge",
          values: views.flatMap(({ share, observed, subject }) =>
            routesOf(subject.spec).map((route) => ({
              labels: { share, route },
              value: observed?.routes[route].probe.verdict === "answers" ? 1 : 0,
            })),
          ),
        },
        {
          name: "mountaineer.share.changes",
          help: "Failovers, recoveries and other transitions of each share.",
          kind: "counter",
          values: [...changes].flatMap(([share, counts]) =>
            [...counts].map(([change, value]) => ({ labels: { share, change }, value })),
          ),
        },
        {
          name: "mountaineer.share.moves",
          help: "Route changes beneath a mount that stayed.",
          kind: "counter",
          values: [...moves].map(([share, value]) => ({ labels: { share }, value })),
        },
        {
          name: "mountaineer.share.bytes",
          help: "Bytes that each share that moves has transferred since it was mounted, by direction.",
          kind: "counter",
          values: views.flatMap(({ share, moving = null }) =>
            moving === null
              ? []
              : [
                  { labels: { share, direction: "to_server" }, value: moving.bytesUp },
                  { labels: { share, direction: "from_server" }, value: moving.bytesDown },
                ],
          ),
        },
        {
          name: "mountaineer.share.free_bytes",
          help: "Free space of each share whose mount reports it.",
          kind: "gauge",
          values: names.flatMap((share) => {
            const { space } = traffic.of(share);
            return space === undefined ? [] : [{ labels: { share }, value: space.free_bytes }];
          }),
        },
      ];
    },
  };
}
