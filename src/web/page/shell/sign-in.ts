// Signing in: by the link of `mountaineer open`, or with the management token.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { errorText } from "../../../runtime/errors.ts";
import type { Requests, Session } from "../daemon/requests.ts";
import { Copyable } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";

interface SignInProps {
  readonly requests: Requests;
  /** Why there is no session; null: nobody has signed in yet. */
  readonly because: string | null;
  readonly onSignedIn: (session: Session) => void;
}

export function SignIn({ requests, because, onSignedIn }: SignInProps): ComponentChild {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (token.trim() === "") {
      setProblem("Type or paste the token.");
      return;
    }
    setBusy(true);
    try {
      onSignedIn(await requests.signIn({ token: token.trim() }));
    } catch (error) {
      setProblem(errorText(error));
    } finally {
      setBusy(false);
    }
  };
  const told = problem ?? because;
  return h(
    "main",
    { id: "main", class: "sign-in", tabIndex: -1 },
    h("h1", {}, "Mountaineer"),
    told === null
      ? null
      : h("p", { class: problem === null ? "hint" : "problem", role: "alert" }, shown(told)),
    h("p", {}, "On the machine where the daemon runs, open this page with"),
    h("p", {}, h(Copyable, { text: "mountaineer open" })),
    h("p", {}, "That signs you in. Or use the management token:"),
    h(
      "form",
      { onSubmit: (event: Event) => void submit(event) },
      h("label", { for: "token" }, "Token"),
      h("input", {
        id: "token",
        type: "password",
        autocomplete: "current-password",
        spellcheck: false,
        value: token,
        "aria-invalid": problem !== null,
        onInput: (event: Event) => setToken((event.target as HTMLInputElement).value),
      }),
      h("button", { type: "submit", class: "main", "aria-busy": busy }, "Sign in"),
    ),
  );
}
