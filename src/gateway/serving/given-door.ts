// Sockets that another process gave us, where nobody here will listen or speak with them.
import type { GivenDoor } from "./gateway-contract.ts";

/** Else the system would go on to take connections there that nobody ever answers. */
export function closeDoor(door: GivenDoor | null): void {
  if (door !== null) closeGiven(door.handle);
}

export function closeGiven(given: object): void {
  const handle: { readonly close?: unknown } = given;
  if (typeof handle.close === "function") handle.close();
}
