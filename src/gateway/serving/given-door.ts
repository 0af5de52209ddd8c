// A door of the gateway that was in charge before, which this one does not listen at: the address is another one by now.
import type { GivenDoor } from "./gateway-contract.ts";

/** Whoever came there would be let in by the system, and never be answered. */
export function closeDoor({ handle }: GivenDoor): void {
  const { close } = handle as { readonly close?: unknown };
  if (typeof close === "function") Reflect.apply(close, handle, []);
}
