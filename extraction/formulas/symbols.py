"""Signs of mathematics and their names in TeX."""

from __future__ import annotations

import unicodedata

_NAMES = """
α alpha β beta γ gamma δ delta ϵ epsilon ε varepsilon ζ zeta η eta θ theta ϑ vartheta ι iota κ kappa λ lambda μ
mu µ mu ν nu ξ xi π pi ϖ varpi ρ rho ϱ varrho σ sigma ς varsigma τ tau υ upsilon ϕ phi φ varphi χ chi ψ psi ω
omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega ∆ Delta Ω Omega ℏ hbar ℓ
ell ℘ wp ℜ Re ℑ Im ℵ aleph ı imath ȷ jmath ∂ partial ∇ nabla ∞ infty ∅ emptyset ∀ forall ∃ exists ∄ nexists ¬
neg ∑ sum ∏ prod ∐ coprod ∫ int ∬ iint ∭ iiint ∮ oint ⋃ bigcup ⋂ bigcap ⨁ bigoplus ⨂ bigotimes ⋁ bigvee ⋀
bigwedge ⨆ bigsqcup ± pm ∓ mp × times ÷ div ⋅ cdot · cdot ∗ ast ⋆ star ∘ circ ∙ bullet • bullet ⊕ oplus ⊖ ominus
⊗ otimes ⊘ oslash ⊙ odot ∧ wedge ∨ vee ∩ cap ∪ cup ⊎ uplus ⊓ sqcap ⊔ sqcup ∖ setminus ≀ wr † dagger ‡ ddagger ⋉
ltimes ⋊ rtimes ≤ leq ≥ geq ≠ neq ≡ equiv ≈ approx ∼ sim ≃ simeq ≅ cong ∝ propto ≪ ll ≫ gg ≺ prec ≻ succ ⪯
preceq ⪰ succeq ≼ preceq ≽ succeq ⩽ leqslant ⩾ geqslant ≲ lesssim ≳ gtrsim ≐ doteq ≜ triangleq ≔ coloneqq ⊥ perp
∥ parallel ∦ nparallel ∣ mid ∤ nmid ∈ in ∉ notin ∋ ni ⊂ subset ⊃ supset ⊆ subseteq ⊇ supseteq ⊊ subsetneq ⊈
nsubseteq ⊏ sqsubset ⊑ sqsubseteq ⊢ vdash ⊣ dashv ⊨ models ⊩ Vdash ⊤ top ∴ therefore ∵ because ∠ angle ∡
measuredangle △ triangle □ square ◻ square ◊ diamond ← leftarrow → to ↑ uparrow ↓ downarrow ↔ leftrightarrow ↦
mapsto ⇐ Leftarrow ⇒ Rightarrow ⇑ Uparrow ⇓ Downarrow ⇔ Leftrightarrow ⟵ longleftarrow ⟶ longrightarrow ⟷
longleftrightarrow ⟸ Longleftarrow ⟹ implies ⟺ iff ⟼ longmapsto ↪ hookrightarrow ↩ hookleftarrow ⇀
rightharpoonup ⇌ rightleftharpoons ↠ twoheadrightarrow ↗ nearrow ↘ searrow … ldots ⋯ cdots ⋮ vdots ⋱ ddots ′
prime ″ prime\\prime ‖ Vert ⟨ langle ⟩ rangle 〈 langle 〉 rangle ⌈ lceil ⌉ rceil ⌊ lfloor ⌋ rfloor ℕ mathbb{N} ℤ
mathbb{Z} ℚ mathbb{Q} ℝ mathbb{R} ℂ mathbb{C} ℙ mathbb{P} ℍ mathbb{H} ℱ mathcal{F} ℒ mathcal{L} ℋ mathcal{H} ℰ
mathcal{E} ℳ mathcal{M} ℛ mathcal{R} ℬ mathcal{B} ♯ sharp ♭ flat ♮ natural ♠ spadesuit ♣ clubsuit ♡ heartsuit ✓
checkmark ∁ complement ð eth
"""
_words = _NAMES.split()
SIGNS = {sign: f"\\{name}" for sign, name in zip(_words[::2], _words[1::2], strict=True)}
"""TeX of a sign."""
SIGNS |= {
    "−": "-",
    "∕": "/",
    "⁄": "/",
    "∶": ":",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "#": r"\#",
    "$": r"\$",
    "&": r"\&",
}
SIGNS |= {"\\": r"\backslash", "_": r"\_", "\u2061": "", "\u2062": "", "\u2063": "", "\u2064": "", "\u200b": ""}

FUNCTIONS = frozenset(
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr "  # noqa: SIM905
    "sec sin sinh sup tan tanh".split()
)
"""Names of functions that TeX knows."""

VARIANTS = {
    "bold": "mathbf",
    "bold-italic": "boldsymbol",
    "double-struck": "mathbb",
    "script": "mathcal",
    "fraktur": "mathfrak",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
    "normal": "mathrm",
}
"""MathML's `mathvariant` and the command of TeX."""

_STYLES = (
    ("DOUBLE-STRUCK", "mathbb"),
    ("FRAKTUR", "mathfrak"),
    ("SCRIPT", "mathcal"),
    ("BOLD", "mathbf"),
    ("SANS-SERIF", "mathsf"),
    ("MONOSPACE", "mathtt"),
)


def sign(character: str) -> str:
    """TeX of one character: its name, the letter of a mathematical alphabet (𝐱 is `\\mathbf{x}`), or itself."""
    known = SIGNS.get(character)
    if known is not None:
        return known
    if "\U0001d400" <= character <= "\U0001d7ff":
        plain = unicodedata.normalize("NFKC", character)
        letter = SIGNS.get(plain, plain)
        name = unicodedata.name(character, "")
        for style, command in _STYLES:
            if style in name:
                return f"\\{command}{{{letter}}}"
        return letter
    return character
