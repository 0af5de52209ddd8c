// The row that a view has opened and the part of its panel, which the address keeps: `#/servers?open=files&part=logs`.
import { useEffect, useRef, useState } from "preact/hooks";

export interface Opened {
  /** "": no row is open. */
  readonly open: string;
  readonly part: string | null;
  readonly put: (open: string | null, part?: string) => void;
}

/** `at`: the view's address behind `#/`. The row of a single name is open at first. */
export function useOpened(at: string, names: readonly { readonly name: string }[]): Opened {
  const [given, setGiven] = useState(read);
  // False: a person opened it here, and sees it.
  const isLinked = useRef(true);
  useEffect(() => {
    if (isLinked.current && given.has("open"))
      globalThis.document?.querySelector?.(".opened")?.scrollIntoView?.();
  }, [given]);
  useEffect(() => {
    const follow = (): void => {
      isLinked.current = true;
      setGiven(read());
    };
    globalThis.addEventListener?.("hashchange", follow);
    return () => globalThis.removeEventListener?.("hashchange", follow);
  }, []);
  return {
    open: given.get("open") ?? (names.length === 1 ? (names[0]?.name ?? "") : ""),
    part: given.get("part"),
    put(open, part) {
      isLinked.current = false;
      const address = openedAddress(at, open ?? "", part);
      globalThis.history?.replaceState(null, "", address);
      setGiven(parametersOf(address));
    },
  };
}

/** `#/servers?open=files&part=logs` */
export function openedAddress(at: string, open: string, part?: string): string {
  return `#/${at}?${new URLSearchParams({ open, ...(part === undefined ? {} : { part }) })}`;
}

function read(): URLSearchParams {
  return parametersOf(globalThis.location?.hash ?? "");
}

function parametersOf(hash: string): URLSearchParams {
  return new URLSearchParams(hash.split("?")[1] ?? "");
}
