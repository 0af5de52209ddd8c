// All shares, a card each.
import { type ComponentChild, h } from "preact";
import { useNow, useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { nothing } from "../parts/elements.ts";
import { ShareCard } from "./share-card.ts";

export function SharesView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  if (status === null) return nothing("Asking the daemon …");
  const { shares, global } = status;
  if (shares.length === 0)
    return nothing(
      "No share is configured.",
      h("p", {}, h("a", { href: "#/shares/add" }, "Add a share"), "."),
    );
  return h(
    "div",
    { class: "cards" },
    shares.map((share) => h(ShareCard, { key: share.name, app, share, global, now })),
  );
}
