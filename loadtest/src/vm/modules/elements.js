// Elements of `k6/html`.
(native) => {
  "use strict";

  const element = (page, id) => (id === undefined ? undefined : elementOf(page, id));

  class Element {
    #page;
    #id;
    constructor(page, id) {
      this.#page = page;
      this.#id = id;
    }
    #get(what) { return native.htmlGet(this.#page, this.#id, what) ?? undefined; }
    #walk(how) {
      return native.htmlWalk(this.#page, [this.#id], how).map((id) => elementOf(this.#page, id));
    }

    attributes() {
      const all = native.htmlAttributes(this.#page, this.#id);
      return Object.fromEntries(all.map(([name]) => [name, this.getAttributeNode(name)]));
    }
    getAttribute(name) { return this.#get(`@${name}`); }
    getAttributeNode(name) {
      const value = this.getAttribute(name);
      if (value === undefined) return undefined;
      return {
        name, value, ownerElement: this, localName: () => name, prefix: () => "",
        namespaceURI: () => "",
      };
    }
    hasAttribute(name) { return this.getAttribute(name) !== undefined; }
    hasAttributes() { return native.htmlAttributes(this.#page, this.#id).length > 0; }
    id() { return this.getAttribute("id"); }
    className() { return this.getAttribute("class"); }
    classList() { return (this.className() ?? "").split(/\s+/).filter((name) => name !== ""); }
    lang() { return this.getAttribute("lang"); }

    nodeName() { return this.#get("name"); }
    nodeType() {
      const types = { "#text": 3, "#comment": 8, "#document": 9 };
      return this.#get("namespace") === undefined ? types[this.nodeName()] ?? 10 : 1;
    }
    nodeValue() { return this.#get("value"); }
    namespaceURI() { return this.#get("namespace"); }
    isDefaultNamespace() { return this.namespaceURI() === "http://www.w3.org/1999/xhtml"; }
    textContent() { return this.#get("text"); }
    innerHTML() { return this.#get("html"); }
    toString() { return this.nodeType() === 1 ? this.nodeName() : this.nodeValue() ?? ""; }

    childNodes() { return this.#walk("contents"); }
    children() { return this.#walk("children"); }
    childElementCount() { return this.children().length; }
    hasChildNodes() { return this.childNodes().length > 0; }
    firstChild() { return this.childNodes()[0]; }
    lastChild() { return this.childNodes().at(-1); }
    firstElementChild() { return this.children()[0]; }
    lastElementChild() { return this.children().at(-1); }
    nextSibling() { return this.#walk("nextNode")[0]; }
    previousSibling() { return this.#walk("prevNode")[0]; }
    nextElementSibling() { return this.#walk("next")[0]; }
    previousElementSibling() { return this.#walk("prev")[0]; }
    parentNode() { return this.#walk("parentNode")[0]; }
    parentElement() { return this.#walk("parent")[0]; }
    ownerDocument() { return elementOf(this.#page, 0); }

    querySelectorAll(selector) {
      const found = native.htmlFind(this.#page, [this.#id], String(selector));
      return found.map((id) => elementOf(this.#page, id));
    }
    querySelector(selector) { return this.querySelectorAll(selector)[0]; }
    getElementsByTagName(name) { return this.querySelectorAll(name); }
    getElementsByClassName(names) {
      return this.querySelectorAll(String(names).trim().split(/\s+/).map((n) => `.${n}`).join(""));
    }
    matches(selector) { return native.htmlTest(this.#page, [this.#id], String(selector))[0]; }
    contains(other) {
      if (this.isSameNode(other)) return false;
      for (let at = other.parentNode(); at !== undefined; at = at.parentNode()) {
        if (this.isSameNode(at)) return true;
      }
      return false;
    }
    isSameNode(other) { return this.#page === other.#page && this.#id === other.#id; }
    isEqualNode(other) { return this.#get("outer") === other.#get("outer"); }

    closestOf(name) {
      const way = native.htmlWalk(this.#page, [this.#id], "parents");
      const fits = native.htmlTest(this.#page, way, name);
      return element(this.#page, way[fits.indexOf(true)]);
    }
  }

  const text = (name) => function () { return this.getAttribute(name) ?? ""; };
  const flag = (name) => function () { return this.hasAttribute(name); };
  const number = (name) => function () { return Number(this.getAttribute(name) ?? 0) || 0; };
  const form = function () { return this.closestOf("form"); };
  const labels = function () {
    const id = this.id();
    const all = this.ownerDocument().querySelectorAll("label");
    return all.filter((label) =>
      (id !== undefined && label.getAttribute("for") === id) || label.contains(this));
  };
  const parts = function (part) {
    const shape = [
      "^([a-z][a-z0-9+.-]*:)?", "(?:\\/\\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/?#]*))?", "([^?#]*)",
      "(\\?[^#]*)?", "(#.*)?$",
    ];
    const match = new RegExp(shape.join(""), "i").exec(this.getAttribute("href") ?? "") ?? [];
    const [host, port] = (match[4] ?? "").split(/:(\d*)$/);
    return {
      protocol: match[1] ?? "", username: match[2] ?? "", password: match[3] ?? "",
      host: match[4] ?? "", hostname: host, port: port ?? "", pathname: match[5] ?? "",
      search: match[6] ?? "", hash: match[7] ?? "",
      origin: match[1] && match[4] ? `${match[1]}//${match[4]}` : "",
    }[part];
  };
  const href = {
    relList() { return text("rel").call(this).split(/\s+/).filter((r) => r !== ""); },
  };
  for (const part of ["protocol", "username", "password", "host", "hostname", "port", "pathname",
    "search", "hash", "origin"]) {
    href[part] = function () { return parts.call(this, part); };
  }
  Object.assign(href, { href: text("href"), text() { return this.textContent(); } });
  const field = {
    form, labels, name: text("name"), disabled: flag("disabled"), formAction: text("formaction"),
    formEnctype: text("formenctype"), formMethod: text("formmethod"),
    formNoValidate: flag("formnovalidate"), formTarget: text("formtarget"), type: text("type"),
  };
  const options = {
    options() { return this.querySelectorAll("option"); },
    length() { return this.options().length; },
    selectedOptions() { return this.querySelectorAll("option[selected]"); },
    selectedIndex() { return this.options().findIndex((o) => o.hasAttribute("selected")); },
    value() { return this.selectedOptions()[0]?.value(); },
  };
  const kinds = {
    a: href,
    area: href,
    link: href,
    form: {
      elements() { return this.querySelectorAll("input, select, textarea, button, fieldset"); },
      length() { return this.elements().length; },
      method() { return text("method").call(this) || "get"; },
      action: text("action"), name: text("name"),
    },
    input: { ...field, value: text("value"), checked: flag("checked") },
    button: { ...field, value: text("value") },
    textarea: { ...field, value() { return this.textContent(); },
      length() { return this.textContent().length; } },
    select: { ...field, ...options, size: number("size") },
    option: {
      form, disabled: flag("disabled"), selected: flag("selected"),
      text() { return this.textContent(); },
      value() { return this.getAttribute("value") ?? this.textContent(); },
      label() { return this.getAttribute("label") ?? this.textContent(); },
      index() {
        const all = this.closestOf("select, datalist")?.querySelectorAll("option") ?? [];
        return Math.max(all.findIndex((other) => other.isSameNode(this)), 0);
      },
    },
    label: {
      form,
      control() {
        const id = this.getAttribute("for");
        if (id === undefined) return this.querySelector("input, select, textarea, button");
        return this.ownerDocument().querySelectorAll("[id]").find((e) => e.id() === id);
      },
    },
    img: { src: text("src"), alt: text("alt"), width: number("width"), height: number("height") },
    script: { src: text("src"), type: text("type"), text() { return this.textContent(); } },
    title: { text() { return this.textContent(); } },
  };
  const classes = new Map(Object.entries(kinds).map(([name, methods]) => {
    const Kind = class extends Element {};
    Object.assign(Kind.prototype, methods);
    return [name, Kind];
  }));

  function elementOf(page, id) {
    const Kind = classes.get(native.htmlGet(page, id, "name")) ?? Element;
    return new Kind(page, id);
  }

  return { "weir:elements": { Element, elementOf } };
}
