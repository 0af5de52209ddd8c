// The clients that are connected, asked for while the view is open and seen.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ClientStatus } from "../../../api/contract.ts";
import { CLIENT_TITLES, clientWords } from "../../../api/words/client-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useNow } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { code, nothing } from "../parts/elements.ts";

const AGAIN_MS = 5_000;

export function ClientsView({ app }: ViewProps): ComponentChild {
  const clients = useClients(app);
  const now = useNow();
  if (clients === null) return nothing("Asking the daemon …");
  if (clients.length === 0)
    return nothing(
      "No client is connected.",
      h("p", {}, "Connect one with ", code("mountaineer connect"), "."),
    );
  return table(clients, now);
}

/** Null: not known yet, or there is no gateway. */
export function useClients(app: App): readonly ClientStatus[] | null {
  const [clients, setClients] = useState<readonly ClientStatus[] | null>(null);
  useEffect(() => {
    const end = new AbortController();
    const look = async (): Promise<void> => {
      if (document.visibilityState !== "visible") return;
      try {
        setClients((await app.requests.ask("clients", null, { signal: end.signal })).clients);
      } catch (error) {
        // The bar says when nobody answers; what was known stays.
        if (!(error instanceof MountaineerError)) throw error;
      }
    };
    void look();
    const timer = setInterval(() => void look(), AGAIN_MS);
    return () => {
      end.abort();
      clearInterval(timer);
    };
  }, []);
  return clients;
}

function table(clients: readonly ClientStatus[], now: number): ComponentChild {
  const titles = CLIENT_TITLES.map((title) => h("th", { key: title, scope: "col" }, title));
  const rows = clients.map((client, at) => {
    const [name = "", ...cells] = clientWords(client, now);
    return h(
      "tr",
      { key: at },
      h("th", { scope: "row" }, name),
      cells.map((cell, column) => h("td", { key: column }, cell)),
    );
  });
  return h(
    "div",
    { class: "table", tabIndex: 0, role: "region", "aria-label": "Clients that are connected" },
    h("table", {}, h("thead", {}, h("tr", {}, titles)), h("tbody", {}, rows)),
  );
}
