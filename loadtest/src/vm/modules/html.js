// `k6/html`: Selection and what responses do with their page. Elements are in elements.js.
(native, library) => {
  "use strict";

  const { Element, elementOf } = library["weir:elements"];
  const isSelection = (value) => value instanceof Selection;

  class Selection {
    #page;
    #ids;
    constructor(page, ids) {
      this.#page = page;
      this.#ids = ids;
    }
    #of(ids) { return new Selection(this.#page, ids); }
    #get(id, what) { return native.htmlGet(this.#page, id, what) ?? undefined; }
    #attribute(id, name) { return this.#get(id, `@${name}`); }
    #fits(ids, selector) { return native.htmlTest(this.#page, ids, String(selector)); }
    #walk(how, selector) {
      return this.#only(native.htmlWalk(this.#page, this.#ids, how), selector);
    }
    #only(ids, selector) {
      if (selector === undefined || selector === null) return this.#of(ids);
      const fits = this.#fits(ids, selector);
      return this.#of(ids.filter((_, i) => fits[i]));
    }
    // Which of the nodes a selector, a function or a selection means.
    #meant(what) {
      if (typeof what === "function") {
        return this.#ids.map((id, i) => Boolean(what(i, this.#of([id]))));
      }
      if (isSelection(what)) return this.#ids.map((id) => what.#ids.includes(id));
      return this.#fits(this.#ids, what);
    }
    // From each node on, up to the first that `until` means.
    #until(how, until, selector) {
      const stops = (id) => isSelection(until)
        ? until.#ids.includes(id)
        : until !== undefined && until !== null && this.#fits([id], until)[0];
      const found = [];
      for (const id of this.#ids) {
        for (const near of native.htmlWalk(this.#page, [id], how)) {
          if (stops(near)) break;
          if (!found.includes(near)) found.push(near);
        }
      }
      return this.#only(found, selector);
    }

    find(selector) {
      if (isSelection(selector)) {
        const inside = new Set(native.htmlFind(this.#page, this.#ids, "*"));
        return this.#of(selector.#ids.filter((id) => inside.has(id)));
      }
      return this.#of(native.htmlFind(this.#page, this.#ids, String(selector)));
    }
    children(selector) { return this.#walk("children", selector); }
    contents() { return this.#walk("contents"); }
    parent(selector) { return this.#walk("parent", selector); }
    parents(selector) { return this.#walk("parents", selector); }
    next(selector) { return this.#walk("next", selector); }
    nextAll(selector) { return this.#walk("nextAll", selector); }
    prev(selector) { return this.#walk("prev", selector); }
    prevAll(selector) { return this.#walk("prevAll", selector); }
    nextUntil(until, selector) { return this.#until("nextAll", until, selector); }
    prevUntil(until, selector) { return this.#until("prevAll", until, selector); }
    parentsUntil(until, selector) { return this.#until("parents", until, selector); }
    closest(selector) {
      const found = [];
      for (const id of this.#ids) {
        const way = [id, ...native.htmlWalk(this.#page, [id], "parents")];
        const at = this.#fits(way, selector).indexOf(true);
        if (at >= 0 && !found.includes(way[at])) found.push(way[at]);
      }
      return this.#of(found);
    }
    has(selector) {
      return this.#of(this.#ids.filter((id) => this.#of([id]).find(selector).size() > 0));
    }
    filter(what) {
      const meant = this.#meant(what);
      return this.#of(this.#ids.filter((_, i) => meant[i]));
    }
    not(what) {
      const meant = this.#meant(what);
      return this.#of(this.#ids.filter((_, i) => !meant[i]));
    }
    is(what) { return this.#meant(what).includes(true); }

    size() { return this.#ids.length; }
    eq(index) { return this.#of(this.#ids.slice(index, index === -1 ? undefined : index + 1)); }
    first() { return this.#of(this.#ids.slice(0, 1)); }
    last() { return this.#of(this.#ids.slice(-1)); }
    slice(start, end) { return this.#of(this.#ids.slice(start, end)); }
    get(index) {
      const id = this.#ids.at(index);
      return id === undefined ? undefined : elementOf(this.#page, id);
    }
    toArray() { return this.#ids.map((id) => this.#of([id])); }
    index(what) {
      if (what === undefined) {
        const own = this.#ids[0];
        return own === undefined ? -1 : native.htmlWalk(this.#page, [own], "prevAll").length;
      }
      if (isSelection(what)) return this.#ids.indexOf(what.#ids[0]);
      return this.#of([0]).find(what).#ids.indexOf(this.#ids[0]);
    }
    each(handler) {
      if (typeof handler !== "function") throw new TypeError("the argument must be a function");
      this.#ids.forEach((id, i) => handler(i, elementOf(this.#page, id)));
      return this;
    }
    map(mapper) {
      if (typeof mapper !== "function") throw new TypeError("the argument must be a function");
      return this.#ids.map((id, i) => mapper(i, this.#of([id])));
    }

    attr(name, otherwise) {
      const id = this.#ids[0];
      return (id === undefined ? undefined : this.#attribute(id, name)) ?? otherwise;
    }
    text() { return this.#ids.map((id) => this.#get(id, "text")).join(""); }
    html(otherwise) {
      return this.#ids.length === 0 ? otherwise : this.#get(this.#ids[0], "html");
    }
    val(otherwise) {
      const id = this.#ids[0];
      if (id === undefined) return otherwise;
      return this.#value(id) ?? otherwise;
    }
    #value(id) {
      switch (this.#get(id, "name")) {
        case "textarea": return this.#get(id, "text");
        case "option": return this.#attribute(id, "value") ?? this.#get(id, "html");
        case "select": {
          const chosen = native.htmlFind(this.#page, [id], "option[selected]");
          if (this.#attribute(id, "multiple") !== undefined) {
            return chosen.map((option) => this.#value(option));
          }
          return chosen.length === 0 ? "" : this.#value(chosen[0]);
        }
        case "input": case "button": return this.#attribute(id, "value") ?? "";
        default: return this.#attribute(id, "value");
      }
    }
    data(key) {
      const id = this.#ids[0];
      if (id === undefined) return undefined;
      if (key !== undefined) {
        const name = String(key).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        const value = this.#attribute(id, `data-${name}`);
        return value === undefined ? undefined : converted(value);
      }
      const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
      const all = native.htmlAttributes(this.#page, id)
        .filter(([name]) => name.startsWith("data-"))
        .map(([name, value]) => [camel(name.slice(5)), converted(value)]);
      return Object.fromEntries(all);
    }

    serializeArray() {
      const fields = this.#ids.flatMap((id) => this.#get(id, "name") === "form"
        ? native.htmlFind(this.#page, [id], "input, select, textarea, button") : [id]);
      const all = [];
      for (const id of fields) {
        const name = this.#attribute(id, "name");
        const type = (this.#attribute(id, "type") ?? "").toLowerCase();
        const tag = this.#get(id, "name");
        const isOff = ["checkbox", "radio"].includes(type)
          && this.#attribute(id, "checked") === undefined;
        const isButton = tag === "button"
          || ["submit", "button", "reset", "image", "file"].includes(type);
        if (!name || isOff || isButton || this.#attribute(id, "disabled") !== undefined) continue;
        const isChecked = ["checkbox", "radio"].includes(type);
        const value = isChecked ? this.#attribute(id, "value") ?? "on" : this.#value(id);
        all.push({ name, value });
      }
      return all;
    }
    serializeObject() {
      return Object.fromEntries(this.serializeArray().map(({ name, value }) => [name, value]));
    }
    serialize() { return encoded(this.serializeObject()); }
  }

  // What jQuery makes of a `data-` attribute.
  function converted(text) {
    if (text === "true" || text === "false") return text === "true";
    if (text === "null") return null;
    if (text === "undefined") return undefined;
    if (text !== "" && String(Number(text)) === text) return Number(text);
    if (/^[{[]/.test(text)) {
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    }
    return text;
  }

  function encoded(fields) {
    const escape = (text) => encodeURIComponent(text)
      .replace(/%20/g, "+")
      .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
    const pairs = (name) => [fields[name] ?? ""].flat()
      .map((value) => `${escape(name)}=${escape(String(value))}`);
    return Object.keys(fields).sort().flatMap(pairs).join("&");
  }

  const parseHTML = (text) => new Selection(native.htmlParse(String(text)), [0]);

  const response = {
    html(selector) {
      const page = parseHTML(this.body ?? "");
      return selector === undefined ? page : page.find(selector);
    },
    submitForm(args) {
      const { formSelector = "form", fields = {}, submitSelector = '[type="submit"]' } = args ?? {};
      const form = this.html(formSelector).first();
      if (form.size() === 0) {
        throw new Error(`no form found for selector '${formSelector}' in response '${this.url}'`);
      }
      const method = (form.attr("method") ?? "GET").toUpperCase() === "POST" ? "POST" : "GET";
      const values = form.serializeObject();
      const submit = form.find(submitSelector).first();
      if (submit.attr("name")) values[submit.attr("name")] = submit.attr("value") ?? "";
      Object.assign(values, fields);
      let url = native.urlJoin(this.url, form.attr("action") ?? "");
      const params = args?.params ?? {};
      if (method === "POST") return library["k6/http"].request(method, url, values, params);
      const query = encoded(values);
      url = url.split("?")[0].split("#")[0] + (query === "" ? "" : `?${query}`);
      return library["k6/http"].request(method, url, null, params);
    },
    clickLink(args) {
      const { selector = "a[href]", params = {} } = args ?? {};
      const link = this.html(selector).first();
      if (link.size() === 0) {
        throw new Error(`no element found for selector '${selector}' in response '${this.url}'`);
      }
      const href = link.attr("href");
      if (href === undefined) {
        throw new Error(`the element '${selector}' in response '${this.url}' has no href`);
      }
      return library["k6/http"].request("GET", native.urlJoin(this.url, href), null, params);
    },
  };

  return { "k6/html": { parseHTML, Selection, Element }, "weir:response": response };
}
