(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  /* Light and dark. */
  const themeButton = document.getElementById("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const showTheme = () => themeButton.setAttribute("aria-pressed", String(isDark()));
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  systemDark.addEventListener("change", showTheme);
  showTheme();

  /* Tables. */
  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;

  function sortTable(table, head) {
    const heads = all("thead th", table);
    const column = heads.indexOf(head);
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
    const isText = head.classList.contains("text");
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: row.cells[column].dataset.key }));
    rows.sort((a, b) => {
      if (a.key === undefined || b.key === undefined) return (a.key === undefined) - (b.key === undefined);
      return sign * (isText ? compareTexts(a.key, b.key) : Number(a.key) - Number(b.key));
    });
    table.tBodies[0].append(...rows.map((item) => item.row));
  }

  for (const table of all("table.sortable")) {
    for (const head of all("thead th", table)) {
      head.querySelector("button").addEventListener("click", () => sortTable(table, head));
    }
  }
  for (const button of all("button.columns")) {
    button.addEventListener("click", () => {
      const shown = document.getElementById(button.getAttribute("aria-controls")).classList.toggle("all");
      button.setAttribute("aria-pressed", String(shown));
    });
  }

  /* What lies under the pointer. */
  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function readRegions(data) {
    const { width, height, kinds } = data;
    const [steps, own, sizes] = await Promise.all([data.steps, data.numbers, data.sizes].map(unpack));
    const given = new DataView(own.buffer, own.byteOffset, own.byteLength);
    const numbers = new Uint32Array(width * height);
    for (let i = 0, next = 0; i < numbers.length; i++) {
      const step = (steps[i >> 2] >> (2 * (i & 3))) & 3;
      if (step === 0) numbers[i] = i < width ? 0 : numbers[i - width];
      else if (step === 1) numbers[i] = i % width ? numbers[i - 1] : 0;
      else numbers[i] = given.getUint32(4 * next++, true);
    }
    const listed = new DataView(sizes.buffer, sizes.byteOffset, sizes.byteLength);
    const total = sizes.byteLength / 12;
    const firstSized = kinds.find(([, , members]) => members > 0)?.[1] ?? Infinity;
    return {
      width,
      height,
      numbers,
      find(number) {
        const kind = kinds.find(([, first, members]) => number >= first && number < first + Math.max(members, 1));
        if (!kind) return null;
        if (!kind[2]) return { kind: kind[0] };
        const at = number - firstSized;
        const area = listed.getUint32(4 * at, true);
        return {
          kind: kind[0],
          area: area & 0x7fffffff,
          isCut: area > 0x7fffffff,
          name: listed.getUint32(4 * (total + at), true),
          aspect: listed.getUint32(4 * (2 * total + at), true) / 100,
        };
      },
    };
  }

  const figure = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const whole = new Intl.NumberFormat("en");

  /* What is told of a region, as lines: its name, then its sizes. */
  function describe(found, scale) {
    if (!found) return [];
    if (found.area === undefined) return [found.kind];
    const diameter = Math.sqrt((4 * found.area) / Math.PI);
    const lines = [`${found.kind} ${found.name}`];
    if (scale) {
      lines.push(`equivalent diameter ${figure.format(diameter * scale)} µm`);
      lines.push(`area ${figure.format(found.area * scale * scale)} µm²`);
    } else {
      lines.push(`equivalent diameter ${figure.format(diameter)} px`);
      lines.push(`area ${whole.format(found.area)} px (not calibrated)`);
    }
    lines.push(`aspect ratio ${figure.format(found.aspect)}`);
    if (found.isCut) lines.push("cut: only this part is in the field");
    return lines;
  }

  /* One viewer per field. */
  class Viewer {
    constructor(element) {
      const part = (selector) => element.querySelector(selector);
      this.view = part(".view");
      this.stage = part(".stage");
      this.base = part(".base");
      this.over = part(".over");
      this.divider = part(".divider");
      this.mark = part(".mark");
      this.cross = part(".cross");
      this.bar = part(".scale-bar");
      this.hint = part(".hint");
      this.tip = part(".tip");
      this.leftName = part(".side.left");
      this.rightName = part(".side.right");
      this.legends = all(".legend", element.parentElement);
      this.zoomText = part(".zoom");
      this.readout = part(".readout");
      this.widthPx = Number(element.dataset.width);
      this.heightPx = Number(element.dataset.height);
      this.pixelSize = element.dataset.scale ? Number(element.dataset.scale) : null;
      this.source = element.parentElement.querySelector("script.regions");
      this.regions = null;
      this.shown = 0;
      this.zoom = 1;
      this.left = 0;
      this.top = 0;
      this.split = 0.5;
      this.at = null;
      this.pointers = new Map();
      this.listen(element);
      if (this.over) this.uncover(this.rightName.textContent);
      new ResizeObserver(() => this.draw()).observe(this.view);
      this.draw();
    }

    listen(element) {
      const on = (target, name, handle, options) => target && target.addEventListener(name, handle.bind(this), options);
      on(this.divider, "pointerdown", this.grabDivider);
      on(this.divider, "pointermove", this.dragDivider);
      on(this.divider, "keydown", this.moveDividerByKey);
      on(this.view, "wheel", this.turnWheel, { passive: false });
      on(this.view, "pointerdown", this.press);
      on(this.view, "pointermove", this.move);
      on(this.view, "pointerup", this.release);
      on(this.view, "pointercancel", this.release);
      on(this.view, "pointerleave", this.leave);
      on(this.view, "dblclick", (event) => this.zoomAt(2, ...this.place(event)));
      on(this.view, "keydown", this.moveCross);
      on(this.view, "focus", () => this.loadRegions());
      on(this.view, "blur", () => this.hideCross());
      on(element, "keydown", this.zoomByKey);
      on(element.querySelector(".zoom-in"), "click", () => this.zoomAt(1.5));
      on(element.querySelector(".zoom-out"), "click", () => this.zoomAt(1 / 1.5));
      on(element.querySelector(".zoom-reset"), "click", () => this.reset());
      for (const choice of all(".layers input", element)) {
        choice.addEventListener("change", () => this.uncover(choice.value));
      }
    }

    /* Choose what the slider uncovers. */
    uncover(name) {
      for (const layer of all(".layer", this.over)) layer.hidden = layer.dataset.layer !== name;
      for (const legend of this.legends) legend.hidden = legend.dataset.layer !== name;
      this.rightName.textContent = name;
      this.draw();
    }

    get width() { return this.view.clientWidth || 1; }
    get height() { return this.view.clientHeight || 1; }
    get greatestZoom() { return Math.max(4, (8 * this.widthPx) / this.width); }

    place(event) {
      const box = this.view.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }

    draw() {
      const { width, height, zoom } = this;
      this.left = clamp(this.left, width * (1 - zoom), 0);
      this.top = clamp(this.top, height * (1 - zoom), 0);
      this.stage.style.transform = `translate(${this.left}px, ${this.top}px) scale(${zoom})`;
      this.stage.classList.toggle("sharp", (zoom * width) / this.base.width > 2.5);
      this.view.classList.toggle("zoomed", zoom > 1);
      this.zoomText.textContent = `${zoom.toFixed(1)}×`;
      if (this.divider) {
        const covered = clamp((this.split * width - this.left) / (zoom * width), 0, 1);
        this.over.style.clipPath = `inset(0 0 0 ${100 * covered}%)`;
        this.divider.style.left = `${100 * this.split}%`;
        const share = Math.round(100 * this.split);
        this.divider.setAttribute("aria-valuenow", String(share));
        const [left, right] = [this.leftName.textContent, this.rightName.textContent];
        this.divider.setAttribute("aria-valuetext", `${share} % ${left}, ${100 - share} % ${right}`);
      }
      this.drawBar();
    }

    drawBar() {
      const unit = this.pixelSize ?? 1;
      const across = (this.widthPx * unit) / this.zoom;
      const power = 10 ** Math.floor(Math.log10(0.26 * across));
      const length = [5, 2, 1].map((factor) => factor * power).find((value) => value <= 0.26 * across);
      this.bar.style.setProperty("--bar", String(length / across));
      this.bar.firstElementChild.textContent = `${length} ${this.pixelSize ? "µm" : "px (not calibrated)"}`;
      this.bar.hidden = false;
    }

    zoomAt(factor, x = this.width / 2, y = this.height / 2) {
      const zoom = clamp(this.zoom * factor, 1, this.greatestZoom);
      this.left = x - ((x - this.left) * zoom) / this.zoom;
      this.top = y - ((y - this.top) * zoom) / this.zoom;
      this.zoom = zoom;
      this.draw();
      this.placeCross();
    }

    reset() {
      this.zoom = 1;
      this.draw();
      this.placeCross();
    }

    zoomByKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        "+": () => this.zoomAt(1.5),
        "=": () => this.zoomAt(1.5),
        "-": () => this.zoomAt(1 / 1.5),
        "0": () => this.reset(),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }

    turnWheel(event) {
      if (event.ctrlKey || event.metaKey || this.view.contains(document.activeElement)) {
        event.preventDefault();
        this.hint.hidden = true;
        this.zoomAt(Math.exp(-clamp(event.deltaY, -120, 120) / 300), ...this.place(event));
      } else {
        this.hint.hidden = false;
        clearTimeout(this.hinting);
        this.hinting = setTimeout(() => { this.hint.hidden = true; }, 1200);
      }
    }

    grabDivider(event) {
      event.stopPropagation();
      event.preventDefault();
      this.divider.focus({ preventScroll: true });
      this.divider.setPointerCapture(event.pointerId);
    }

    dragDivider(event) {
      if (!this.divider.hasPointerCapture(event.pointerId)) return;
      this.setSplit(this.place(event)[0] / this.width);
    }

    setSplit(split) {
      this.split = clamp(split, 0, 1);
      this.draw();
    }

    moveDividerByKey(event) {
      const step = event.shiftKey ? 0.1 : 0.02;
      const split = {
        ArrowLeft: this.split - step,
        ArrowDown: this.split - step,
        ArrowRight: this.split + step,
        ArrowUp: this.split + step,
        PageDown: this.split - 0.1,
        PageUp: this.split + 0.1,
        Home: 0,
        End: 1,
      }[event.key];
      if (split === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.setSplit(split);
    }

    press(event) {
      this.hideCross();
      this.pointers.set(event.pointerId, this.place(event));
      if (this.zoom > 1 || this.pointers.size > 1) this.view.setPointerCapture(event.pointerId);
      this.inspect(...this.place(event));
    }

    move(event) {
      const [x, y] = this.place(event);
      const before = this.pointers.get(event.pointerId);
      if (!before) {
        if (event.target !== this.divider) this.inspect(x, y);
        return;
      }
      if (this.pointers.size === 1 && this.zoom > 1) {
        this.left += x - before[0];
        this.top += y - before[1];
        this.view.classList.add("panning");
        this.draw();
      } else if (this.pointers.size === 2) {
        const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const distance = (place) => Math.max(1, Math.hypot(place[0] - other[0], place[1] - other[1]));
        this.zoomAt(distance([x, y]) / distance(before), (x + other[0]) / 2, (y + other[1]) / 2);
      }
      this.pointers.set(event.pointerId, [x, y]);
    }

    release(event) {
      this.pointers.delete(event.pointerId);
      this.view.classList.remove("panning");
    }

    leave() {
      if (this.at) return;
      this.show(0);
      Object.assign(this.mark, { width: 1, height: 1 });
    }

    moveCross(event) {
      if (event.target !== this.view) return;
      const step = event.shiftKey ? 0.1 : 0.015;
      const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Escape") this.hideCross();
      if (!direction) return;
      event.preventDefault();
      const { width, height, zoom } = this;
      this.at ??= [(width / 2 - this.left) / (zoom * width), (height / 2 - this.top) / (zoom * height)];
      this.at = this.at.map((value, axis) => clamp(value + (direction[axis] * step) / zoom, 0, 0.9999));
      const margin = 0.08;
      const [x, y] = [this.at[0] * zoom * width, this.at[1] * zoom * height];
      this.left = clamp(this.left, margin * width - x, (1 - margin) * width - x);
      this.top = clamp(this.top, margin * height - y, (1 - margin) * height - y);
      this.draw();
      this.placeCross();
    }

    placeCross() {
      if (!this.at) return;
      const x = this.at[0] * this.zoom * this.width + this.left;
      const y = this.at[1] * this.zoom * this.height + this.top;
      this.cross.style.left = `${x}px`;
      this.cross.style.top = `${y}px`;
      this.cross.hidden = false;
      this.inspect(x, y);
    }

    hideCross() {
      this.at = null;
      this.cross.hidden = true;
      this.show(0);
    }

    async loadRegions() {
      if (this.regions || !this.source || !("DecompressionStream" in window)) return;
      const data = JSON.parse(this.source.textContent);
      this.source = null;
      this.regions = await readRegions(data);
      if (this.pending) this.inspect(...this.pending);
    }

    inspect(x, y) {
      this.pending = [x, y];
      if (!this.regions) {
        this.loadRegions();
        return;
      }
      const { width, height, numbers } = this.regions;
      const column = Math.floor((((x - this.left) / this.zoom) / this.width) * width);
      const row = Math.floor((((y - this.top) / this.zoom) / this.height) * height);
      const isInside = column >= 0 && row >= 0 && column < width && row < height;
      this.show(isInside ? numbers[row * width + column] : 0);
      this.placeTip(x, y);
    }

    /* Keep the tip beside the pointer, on the side where there is room. */
    placeTip(x, y) {
      const away = 16;
      const { offsetWidth: width, offsetHeight: height } = this.tip;
      const left = x + away + width > this.width ? x - away - width : x + away;
      const top = y + away + height > this.height ? y - away - height : y + away;
      this.tip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
    }

    show(number) {
      if (number === this.shown) return;
      this.shown = number;
      const found = this.regions && number ? this.regions.find(number) : null;
      const [name, ...sizes] = describe(found, this.pixelSize);
      this.readout.textContent = sizes.length ? `${name}: ${sizes.join(", ")}` : (name ?? "");
      this.mark.hidden = this.tip.hidden = !sizes.length;
      if (!sizes.length) return;
      this.tip.replaceChildren(...[name, ...sizes].map((line) => {
        const element = document.createElement("span");
        element.textContent = line;
        return element;
      }));
      this.drawMark(number);
    }

    drawMark(number) {
      const { width, height, numbers } = this.regions;
      let [left, top, right, bottom] = [width, height, 0, 0];
      for (let i = 0; i < numbers.length; i++) {
        if (numbers[i] !== number) continue;
        const column = i % width;
        const row = (i - column) / width;
        left = Math.min(left, column);
        right = Math.max(right, column + 1);
        top = Math.min(top, row);
        bottom = row + 1;
      }
      const picture = new ImageData(right - left, bottom - top);
      const at = (row, column) =>
        row >= top && column >= left && row < bottom && column < right && numbers[row * width + column] === number;
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) {
          if (!at(row, column)) continue;
          const isRim = !(at(row - 2, column) && at(row + 2, column) && at(row, column - 2) && at(row, column + 2));
          picture.data.set([255, 122, 0, isRim ? 255 : 60], 4 * ((row - top) * picture.width + column - left));
        }
      }
      const canvas = this.mark;
      // The canvas covers the whole picture: a smaller one would be moved to whole pixels before it is zoomed.
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, width, height);
      context.putImageData(picture, left, top);
    }
  }

  const viewers = all(".viewer").map((element) => new Viewer(element));

  /* On paper the slider's sides stand beside each other: the picture, and each layer over it. */
  function addPrints({ view, base, over, bar, leftName }) {
    if (!over) return;
    const prints = document.createElement("div");
    prints.className = "prints";
    const add = (name, images) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = name;
      figure.append(...images.map((image) => image.cloneNode()), caption);
      for (const image of figure.querySelectorAll("img")) image.hidden = false;
      prints.append(figure);
      return figure;
    };
    add(leftName.textContent, [base]).append(bar.cloneNode(true));
    for (const layer of all(".layer", over)) add(layer.dataset.layer, [base, layer]);
    view.append(prints);
  }

  /* On paper everything is open and every picture whole. */
  let closed = [];
  let zoomed = [];
  addEventListener("beforeprint", () => {
    viewers.forEach(addPrints);
    for (const viewer of viewers) for (const legend of viewer.legends) legend.hidden = false;
    closed = all("details:not([open])");
    for (const element of closed) element.open = true;
    zoomed = viewers.map(({ zoom, left, top }) => ({ zoom, left, top }));
    for (const viewer of viewers) viewer.reset();
  });
  addEventListener("afterprint", () => {
    for (const prints of all(".prints")) prints.remove();
    for (const viewer of viewers) if (viewer.over) viewer.uncover(viewer.rightName.textContent);
    for (const element of closed) element.open = false;
    viewers.forEach((viewer, index) => {
      Object.assign(viewer, zoomed[index]);
      viewer.draw();
    });
  });
})();
