// The pages that ask a person whether a client may use the gateway. They have no scripts, allow no frames, and load nothing. Pure.
import { randomBytes } from "node:crypto";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { Answer } from "./answer.ts";
import { answersTo, unknownScheme } from "./redirect-uri.ts";
import type { AccessRequest, WaitingRequest } from "./waiting-requests.ts";

/** How often a waiting page reloads, seconds. */
const RELOAD_SECS = 3;

/** A user's rights on one server. */
export interface ServerAccess {
  readonly name: string;
  /** In words: `12 tools, 3 of them ask first`. */
  readonly allows: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:8vh auto;padding:0 1rem;color:#1c2126;background:#fff}" +
  "dt{color:#5b6670;font-size:.85em}dd{margin:0 0 .6em;overflow-wrap:anywhere}code{font-size:1.1em}" +
  "input[type=password]{font:inherit;width:100%;box-sizing:border-box;padding:.4em}" +
  "button{font:inherit;padding:.4em 1em;margin:.8em .6em 0 0}label{display:block}" +
  "@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#16191d}dt{color:#9aa5af}}";

interface PageParts {
  readonly title: string;
  /** HTML. */
  readonly body: string;
  /** A reload: seconds, `;url=` and the address. */
  readonly refresh?: string;
  readonly status?: number;
  readonly headers?: Answer["headers"];
}

export function page({ title, body, refresh, status = 200, headers = {} }: PageParts): Answer {
  const nonce = randomBytes(16).toString("base64");
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`;
  const again = refresh === undefined ? "" : `<meta http-equiv="refresh" content="${escaped(refresh)}">`;
  return {
    status,
    headers: {
      ...{ "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store" },
      ...{
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
      },
      ...{ "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", ...headers },
    },
    text:
      '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">' +
      `${again}<title>${escaped(title)}</title><style nonce="${nonce}">${STYLE}</style></head>` +
      `<body><h1>${escaped(title)}</h1>${body}</body></html>`,
  };
}

function facts(request: AccessRequest): string {
  const { client, redirectUri, resource, remote } = request;
  const rows: readonly (readonly [string, string])[] = [
    ["The program calls itself", client.name],
    ["Its description is published by", client.publishedBy ?? "no one: the program registered itself"],
    ["Its answer goes to", answersTo(redirectUri)],
    ["It wants to use", resource],
    ["The page was opened from", remote ?? "an unknown address"],
  ];
  return `<dl>${rows.map(([term, text]) => `<dt>${escaped(term)}</dt><dd>${escaped(text)}</dd>`).join("")}</dl>`;
}

const REFUSE = '<button name="answer" value="refuse">Refuse</button>';

function form(action: string, content: string): string {
  return `<form method="post" action="${escaped(action)}">${content}${REFUSE}</form>`;
}

/** The first line of a page. What the program calls itself does not say which program an unknown scheme opens. */
function titleFor({ client, redirectUri }: WaitingRequest): string {
  const scheme = unknownScheme(redirectUri);
  return `Let ${scheme === null ? client.name : `the program that opens ${scheme}: links`} use Mountaineer?`;
}

/** Waits until a person answers in another place. It names no user and no server, because anyone can open it. */
export function waitingPage(
  waiting: WaitingRequest,
  action: string,
  headers: Answer["headers"] = {},
): Answer {
  const code = spaced(waiting.typedCode);
  const body =
    `${facts(waiting)}<p>Continue only if you have just started this yourself.</p>` +
    "<p>On the machine where Mountaineer runs, type in a terminal:</p>" +
    `<p><code>${escaped(shellCommand`mountaineer clients approve ${code}`)}</code></p>` +
    "<p>It shows what the program would be allowed, and asks. This page then continues. " +
    `Or type <code>${escaped(code)}</code> in the page, under People.</p>` +
    `<p><a href="${escaped(action)}?token">Use your own Mountaineer token instead</a></p>${form(action, "")}`;
  return page({ title: titleFor(waiting), body, refresh: `${RELOAD_SECS};url=${action}`, headers });
}

export function tokenPage(waiting: WaitingRequest, action: string, fault: string | null = null): Answer {
  const fields =
    '<label>Your Mountaineer token <input type="password" name="token" autocomplete="off" autofocus></label>' +
    `${fault === null ? "" : `<p role="alert">${escaped(fault)}</p>`}<button name="answer" value="token">Continue</button>`;
  const status = fault === null ? 200 : 401;
  return page({ title: titleFor(waiting), body: `${facts(waiting)}${form(action, fields)}`, status });
}

/** Asks the user whose token was typed. */
export function choicePage(
  waiting: WaitingRequest,
  user: string,
  servers: readonly ServerAccess[],
  action: string,
): Answer {
  const rows = servers.map(({ name, allows }) => {
    const box = `<input type="checkbox" name="server" value="${escaped(name)}" checked>`;
    return `<label>${box} ${escaped(name)}: ${escaped(allows)}</label>`;
  });
  const none = "nothing now. The owner of this gateway can allow servers.";
  const fields =
    `<p>As the user <b>${escaped(user)}</b> it may use: ${rows.length === 0 ? none : ""}</p>${rows.join("")}` +
    '<p><label><input type="checkbox" name="all" value="yes"> All servers, also those that you add later</label></p>' +
    '<p><label><input type="checkbox" name="read_only" value="yes"> Only tools whose server says that they change nothing</label></p>' +
    '<button name="answer" value="allow">Allow</button>';
  return page({ title: titleFor(waiting), body: `${facts(waiting)}${form(action, fields)}` });
}

/** Leads to the page at `action`, which redirects. The answer to a form must not redirect to another site itself. */
export function continuingPage(action: string, headers: Answer["headers"] = {}): Answer {
  const body = `<p><a href="${escaped(action)}">Continue</a></p>`;
  return page({ title: "One moment", body, refresh: `0;url=${action}`, headers });
}

/** `back`: the address of the client's answer. The browser goes there only after a click. */
export function faultPage(status: number, reason: string, back: string | null): Answer {
  const goBack =
    back === null
      ? ""
      : `<p><a rel="noreferrer" href="${escaped(back)}">Back to ${escaped(answersTo(back))}</a></p>`;
  const body = `<p>${escaped(reason)}</p>${goBack}`;
  return page({ title: "This request cannot be answered", body, status });
}

/** `7K49QX` as `7K4-9QX`. */
export function spaced(code: string): string {
  return `${code.slice(0, 3)}-${code.slice(3)}`;
}
