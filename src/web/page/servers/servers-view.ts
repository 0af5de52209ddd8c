// All backends, a card each, and where clients connect.
import { type ComponentChild, h } from "preact";
import type { GatewayStatus } from "../../../api/contract.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import type { ViewProps } from "../parts/app.ts";
import { Copyable, conditionList, nothing } from "../parts/elements.ts";
import { BackendCard } from "./backend-card.ts";

export function ServersView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  if (status === null) return nothing("Asking the daemon …");
  const { gateway, backends = [] } = status;
  return h(
    "section",
    { "aria-label": "Servers" },
    gateway === undefined ? null : [gatewayLine(gateway), conditionList(gateway.conditions, now)],
    backends.length === 0
      ? nothing(
          "No server is configured.",
          h("p", {}, h("a", { href: "#/servers/add" }, "Add a server"), "."),
        )
      : h(
          "div",
          { class: "cards" },
          backends.map((backend) => h(BackendCard, { key: backend.name, app, backend, now })),
        ),
  );
}

function gatewayLine({ url, sessions, in_flight: inFlight, tools }: GatewayStatus): ComponentChild {
  const where = url === null ? ["It does not listen."] : ["Clients connect to ", h(Copyable, { text: url })];
  const counts = [counted(sessions, "session"), `${inFlight} in flight`, counted(tools, "tool")].join(", ");
  return h("p", { class: "facts" }, ...where, ` · ${counts}`);
}
