// A listening socket that another process gave us, where nobody here will listen with it.
import type { GivenDoor } from "./gateway-contract.ts";

/** Else the system would go on to take connections there that nobody ever answers. */
export function closeDoor(door: GivenDoor | null): void {
  const handle: { readonly close?: unknown } = door?.handle ?? {};
  if (typeof handle.close === "function") handle.close();
}
