// Owns telling one mount from another: a mount that appeared by someone's doing, and one that vanished.
import { foldYoungDeath } from "./decide-mount-alive.ts";
import { clearPending, type Draft, setEpisode, setHeld, setMemory } from "./draft.ts";
import type { StepSeen } from "./share-seen.ts";

export function foldMountIdentity(draft: Draft): void {
  const { mount, lastStep } = draft.seen;
  const id = mount?.found.id ?? null;
  const before = draft.episode.mountId;
  if (id !== before) {
    setEpisode(draft, { mountId: id, deadLook: null, pendingLook: null, suspicion: null });
    setEpisode(draft, { madeMount: isOurDoing(lastStep, id) ? id : null });
    if (mount === null) foldVanished(draft, before);
    else if (!isOurDoing(lastStep, id)) {
      draft.transitions.push({
        name: "share.adopted",
        route: mount.found.route ?? "unknown",
        source: mount.found.source,
        path: mount.found.path,
      });
      if (draft.memory.held === "unmounted" && draft.episode.errand === null) setHeld(draft, null);
    }
  }
  const activeInterface = mount?.found.route ?? "none";
  const carriedPort = mount?.carried?.port ?? null;
  if (draft.memory.activeInterface !== activeInterface || draft.memory.carriedPort !== carriedPort) {
    setMemory(draft, { activeInterface, carriedPort });
  }
  if (activeInterface !== "fallback" && draft.episode.errand === null)
    clearPending(draft, mount === null ? "unmounted" : "not mounted over fallback any more");
}

function isOurDoing(last: StepSeen | null, id: string | null): boolean {
  return last?.kind === "mount" && last.outcome.ok && last.outcome.mount.id === id && !last.outcome.adopted;
}

function foldVanished(draft: Draft, mountId: string | null): void {
  if (draft.seen.lastStep?.kind === "unmount") return;
  if (mountId !== null) foldYoungDeath(draft, mountId);
  draft.transitions.push({ name: "share.vanished", from: draft.memory.activeInterface });
}
