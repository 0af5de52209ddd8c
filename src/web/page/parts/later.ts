// A view that is a separate chunk, loaded when it is opened for the first time.
import { type FunctionComponent, h } from "preact";
import { useEffect, useState } from "preact/hooks";

/** `load`: called until it resolves. If it rejects, the build from which the page came may have been removed. */
export function later<Props extends object>(
  load: () => Promise<FunctionComponent<Props>>,
): FunctionComponent<Props> {
  let loaded: FunctionComponent<Props> | null = null;
  return function Later(props) {
    const [state, setState] = useState<"loading" | "failed" | "there">("loading");
    useEffect(() => {
      if (loaded !== null) return;
      load().then(
        (view) => {
          loaded = view;
          setState("there");
        },
        () => setState("failed"),
      );
    }, []);
    if (loaded !== null) return h(loaded, props);
    return h(
      "p",
      { role: "status" },
      state === "failed" ? "This part of the page cannot be loaded: reload the page." : "Loading …",
    );
  };
}
