// Distinguishes mounts: one that someone else made, and one that vanished.
import { foldYoungDeath } from "./decide-mount-alive.ts";
import { type Builder, clearPending, setHeld, setMemory, setState } from "./decision-builder.ts";
import type { StepSeen } from "./share-seen.ts";

export function foldMountIdentity(builder: Builder): void {
  const { mount, lastStep } = builder.seen;
  const id = mount?.found.id ?? null;
  const before = builder.state.mountId;
  if (id !== before) {
    setState(builder, { mountId: id, deadLook: null, pendingLook: null, suspicion: null });
    setState(builder, { madeMount: isOurDoing(lastStep, id) ? id : null });
    if (mount === null) foldVanished(builder, before);
    else if (!isOurDoing(lastStep, id)) {
      builder.transitions.push({
        name: "share.adopted",
        route: mount.found.route ?? "unknown",
        source: mount.found.source,
        path: mount.found.path,
      });
      if (builder.memory.held === "unmounted" && builder.state.operation === null) setHeld(builder, null);
    }
  }
  const activeInterface = mount?.found.route ?? "none";
  const carriedPort = mount?.carried?.port ?? null;
  if (builder.memory.activeInterface !== activeInterface || builder.memory.carriedPort !== carriedPort) {
    setMemory(builder, { activeInterface, carriedPort });
  }
  if (activeInterface !== "fallback" && builder.state.operation === null)
    clearPending(builder, mount === null ? "unmounted" : "not mounted over fallback any more");
}

function isOurDoing(last: StepSeen | null, id: string | null): boolean {
  return last?.kind === "mount" && last.outcome.ok && last.outcome.mount.id === id && !last.outcome.adopted;
}

function foldVanished(builder: Builder, mountId: string | null): void {
  if (builder.seen.lastStep?.kind === "unmount") return;
  if (mountId !== null) foldYoungDeath(builder, mountId);
  builder.transitions.push({ name: "share.vanished", from: builder.memory.activeInterface });
}
