// A person at the authorization server's pages, as a browser would carry them: cookies, redirects, forms.

/** Signs in as `login` and consents to what is asked; resolves with where the server sends the person in the end. */
export async function signInAt(start: URL, login: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let next: { readonly url: URL; readonly form: URLSearchParams | null } = { url: start, form: null };
  for (let steps = 0; steps < 20; steps++) {
    const { url, form } = next;
    const response = await fetch(url, {
      method: form === null ? "GET" : "POST",
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form !== null && { body: form }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get("location");
    const page = await response.text();
    if (location !== null) {
      const to = new URL(location, url);
      if (to.origin !== start.origin) return to;
      next = { url: to, form: null };
      continue;
    }
    const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
    const prompt = /name="prompt" value="([^"]+)"/.exec(page)?.[1];
    if (action === undefined || prompt === undefined)
      throw new Error(`no form at ${url}: ${page.slice(0, 500)}`);
    const answers = prompt === "login" ? { prompt, login, password: "any" } : { prompt };
    next = { url: new URL(action, url), form: new URLSearchParams(answers) };
  }
  throw new Error("the pages lead nowhere");
}
