// What is not as it was approved, in the form of the API.

import {
  isCalled,
  MOST_SHOWN,
  type ToolChange,
  type ToolChangesReport,
} from "../../api/tool-changes-contract.ts";
import { memberChanges } from "../../gateway/pins/pinned-entry.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";

/** `named` null: of all, with the texts of the first ones. */
export function toolChangesReport(gateway: Gateway, named: readonly string[] | null): ToolChangesReport {
  const { tools, prompts, resources } = gateway.entries();
  const published = new Map(
    [...tools, ...prompts, ...resources].map(({ kind, backend, originalName, name }) => [
      keyOf(backend, kind, originalName),
      name,
    ]),
  );
  const { pending, lost, unseen } = gateway.trust();
  const all = pending.map((one) => {
    const { backend, kind, name, isWithheld, digest, before } = one;
    const change: ToolChange = {
      backend,
      tool: name,
      ...(kind === "tool" ? {} : { what: kind }),
      published_as: published.get(keyOf(backend, kind, name)) ?? null,
      kind: one.change,
      withheld: isWithheld,
      digest,
      before_known: before !== null || one.change === "new",
      members: null,
    };
    return { change, one };
  });
  const chosen =
    named === null ? all : all.filter(({ change }) => named.some((name) => isCalled(change, name)));
  return {
    changes: chosen.map(({ change, one }, index) => ({
      ...change,
      members:
        index < MOST_SHOWN
          ? memberChanges(one.before, one.definition).map((member) => ({ ...member }))
          : null,
    })),
    unseen: unseen.map(({ backend, kind, name, faults }) => ({
      backend,
      kind,
      entry: name,
      faults: [...faults],
    })),
    lost,
  };
}

function keyOf(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}
