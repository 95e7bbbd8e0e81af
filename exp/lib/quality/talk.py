"""Is a text a problem, or talk about problems: a greeting, a refusal, an offer of help?

A model that is asked for a problem sometimes takes the assistant's part instead. What gives it away
is how a text begins, once greetings are taken off: a problem may open with `Hi, could you help me?`
as well, and it may be told by somebody who cannot carry 20 kg. So each phrase below has as many
words as it takes to leave such problems alone. It is matched in small letters with straight
apostrophes, and white space in it stands for white space.
"""

import re

OPENING = 400  # characters of a text in which its first phrases are looked for


def _any(words: str) -> str:
    """A pattern for one of the words, which are separated by blanks; `_` is a blank in a word."""
    alternatives = [word.replace("_", " ") for word in words.split()]
    return f"(?:{'|'.join(alternatives)})"


def _opens_with(*phrases: str) -> re.Pattern:
    """Matches a text that begins with one of the phrases, whatever marks stand before it."""
    return re.compile(rf"[\W_]*(?:{'|'.join(phrases)})")


_I_AM = r"i(?:'m| am)"
_SOMEBODY = r"(?:can|could|would|will) (?:you|someone|anyone|somebody)(?: please| kindly)?"
_PLEASE = rf"(?:please |kindly |{_SOMEBODY} )"
_PROBLEM = _any("problems? questions? exercises? puzzles? tasks? quiz quizzes homework challenges?")
_HOMEWORK = rf"(?:{_PROBLEM}|{_any('assignments? equations? maths? mathematics one proofs?')})"
_THIS = _any("this that it these those such so your")
_INVENT = _any(
    "give generate create write make provide pose suggest invent come_up_with send share"
)
_WITHIN_SENTENCE = r"\b[^.?!]{0,60}\b"

# What may stand before a problem and before talk alike, so that it decides nothing.
_GREETING = _opens_with(
    _any("hi hello hey greetings howdy dear good_(?:morning|afternoon|evening|day)")
    + rf"\b(?: {_any('there again all everyone everybody friends? sir professor')}\b)*"
    r"[\s,.!:;…–—-]+",
    r"(?:thanks|thank you)\b(?: so much| very much| a lot| again| in advance)?[\s,.!:;…–—-]+",
    _any("ok okay alright great nice cool perfect excellent awesome") + r"\b[\s,.!:;…–—-]+",
    _any("yes no wow oh hmm right correct well_done that's_correct that's_right")
    + r"\b\s*[,.!…]+\s*",
    _any("good great nice") + " " + _any("job work") + r"\b\s*[,.!…]+\s*",
)
# A sentence that asks for help and does not say with what: it ends before any mathematics.
_SENTENCE_END = r"\s*(?:[?.!:\n;,…]+|$)"
_CALL_FOR_HELP = _opens_with(
    rf"{_SOMEBODY} (?:help|assist)(?: me| us)?(?: out)?(?: with| on| to| in| here)?"
    rf"(?: {_any('solve solving do understand answer figure_out')})?"
    rf"(?: {_any('this it that these those my an? some something the the_following')})?"
    rf"(?: (?:\w+ ){{0,3}}{_HOMEWORK})?{_SENTENCE_END}",
    rf"{_SOMEBODY} {_any('solve answer do check explain')} {_any('this it that these')}"
    rf"(?: (?:\w+ ){{0,2}}{_HOMEWORK})?{_SENTENCE_END}",
    rf"(?:please )?help(?: me)?(?: out)?(?: {_any('with on solve understand')} {_THIS})?"
    rf"(?: (?:\w+ ){{0,2}}{_HOMEWORK})?{_SENTENCE_END}",
    rf"{_I_AM}(?: really| a bit| so)? {_any('stuck confused struggling working having_trouble')}"
    rf"\b[^.?!:\n\d$\\=]{{0,60}}{_SENTENCE_END}",
    rf"i {_any('need want would_like could_use have got')}(?: \w+){{0,5}} (?:help|{_HOMEWORK})"
    rf"\b[^.?!:\n\d$\\=]{{0,60}}{_SENTENCE_END}",
)

# A problem may be told by one who cannot solve 3 of 10 problems, is afraid of spiders, and cannot
# help but notice something; a model cannot solve `this`, is afraid that, and cannot help.
_CANNOT = _any("cannot can_not can't could_not couldn't will_not won't")
_DECLINES = rf"i {_CANNOT}(?: \w+)?"
_WORKS_ON = _any("solve answer complete do continue proceed_with perform process support")
_PROVIDES = _any("provide generate create produce write give offer share")
_IS_ASKED_FOR = _any(
    "that this it you such an? any the content answers? solutions? problems? questions? "
    "information help advice"
)
_ITS_ABILITIES = _any(
    "help assist solve provide answer generate create produce write fulfil comply complete process "
    "browse retrieve view access open respond discuss engage determine do_that do_this do_so "
    "(?:see|read|find)_(?:the|any|an?|your)_(?:image|picture|attach|file|figure|problem|question)"
)
_REFUSAL = _opens_with(
    rf"(?:{_I_AM} |we're |we are )?(?:so |very |really |truly |terribly )?sorry\b",
    rf"{_I_AM} afraid {_any('i that this there not you')}\b",
    rf"{_I_AM} (?:unable|not able) to {_ITS_ABILITIES}",
    rf"{_I_AM} not {_any('programmed designed allowed permitted comfortable capable')}\b",
    rf"{_DECLINES} (?:help|assist)\b(?! (?:but|wondering|noticing|thinking))",
    rf"{_DECLINES} {_WORKS_ON} (?:{_THIS}|any|math|the (?:problem|question|request|task))\b",
    rf"{_DECLINES} see (?:the|any|an?|your) {_any('image attach problem question')}",
    r"i (?:do not|don't) understand(?=[.,!]| what you| your| the (?:question|request|message))",
    rf"i (?:do not|don't) see (?:an?|any|the|your) (?:\w+ )?{_any('problem question image')}",
    r"i (?:must|have to|need to)(?: respectfully| politely)? (?:refuse|decline)",
    r"as an? (?:\w+ )?(?:ai|artificial intelligence)(?:,| i\b)",
    rf"as an? (?:\w+ )?ai (?:language |text )?{_any('model assistant system tool chatbot')}\b",
    rf"as an ai {_any('developed created trained designed made')}\b",
    r"as a (?:large |text-based )?(?:language model|chatbot)\b",
    rf"{_I_AM} (?:just |only )?an? (?:ai|(?:large )?language model|chatbot)\b",
    r"i apologi[sz]e\b",
    r"(?:my |our )?apologies\b",
    r"it(?:'s| is| would be) not (?:possible|appropriate) for me\b",
)

# So may one tell who cannot give the 5 children 3 apples each: these count only in a first sentence
# without mathematics.
_REFUSAL_OR_STORY = _opens_with(
    rf"{_DECLINES} {_PROVIDES} (?:\w+ )?{_IS_ASKED_FOR}\b",
    rf"{_DECLINES} {_any('fulfil comply engage discuss respond access view')}",
    rf"i (?:do not|don't) have {_any('enough access personal the_ability the_information')}\b",
    rf"i (?:do not|don't) have (?:an?|any|the) {_any('problem question information capability')}\b",
    rf"i (?:do not|don't) (?:feel comfortable|{_any('provide generate create engage discuss')})\b",
    rf"i (?:do not|don't) {_any('answer help assist')}\b",
    r"(?:unfortunately|regrettably),? (?:i|we) (?:am |'m |was |were )?"
    + _any(
        "cannot can't can_not couldn't unable not do_not don't find_no(?:thing)? have_no have_to"
    )
    + r"\b",
)

# The assistant speaks: no problem begins so, whatever follows.
_PRAISE = _any("great good excellent interesting wonderful fantastic nice fun tough hard tricky")
_ASSISTANT = _any("assistant tutor chatbot bot")
_CHATBOT = _any("qwen chatgpt claude gemma gemini deepseek llama mistral phi gpt")
_REPLY = _opens_with(
    _any("sure certainly of_course absolutely definitely gladly understood got_it no_problem")
    + r"(?: thing)?\s*(?:[,.!:;–—-]|$|i\b|here\b|let\b)",
    r"(?:you're|you are) welcome\b",
    rf"{_any('ok okay alright hmm well so')}\s*[,.!…]\s*"
    + _any("so\\b let_me let's_see let's_think i_need i_have i_think i_should first here the_user"),
    rf"{_any('ok okay alright hmm well so')}\s*[,.!…]\s*the (?:problem|question)\b",
    _any("here's here_is here_are below_is below_are the_following_is the_following_are")
    + rf"(?: [\w-]+){{0,6}} (?:{_PROBLEM}|{_any('examples? solutions? answers?')})"
    r"(?: for you\b| to solve\b|\s*[:.!])",
    rf"{_PRAISE} {_any('question problem choice job work')}\b",
    rf"(?:that|this)(?:'s| is) an? {_PRAISE} {_any('question problem one choice')}\b",
    r"i(?:'d| would) be (?:more than )?(?:happy|glad|delighted|pleased) to\b",
    rf"{_I_AM} (?:always |very |so |more than )?{_any('happy glad delighted excited ready here')} "
    rf"(?:to|for) {_any('help assist you answer hear discuss')}",
    r"i (?:can|could|will|would)(?: certainly| definitely| gladly| also| try to)? "
    + _any("help_you assist_you provide_you do_my_best")
    + r"\b",
    r"i'll "
    + _any("help provide do_my_best give_you create generate be_happy be_glad solve")
    + r"\b",
    rf"(?:{_I_AM}|my name is) (?:{_CHATBOT}|(?:an?|your)(?: \w+){{0,3}} {_ASSISTANT})\b",
    rf"you are (?:a helpful|an ai|{_CHATBOT})\b",
    r"how(?:'re| are) you(?: doing\b| today\b|\s*[?.!,])",
    _any("how's_it_going what's_up (?:it's_)?nice_to_meet_you who_are_you what_is_your_name")
    + r"\b",
    r"the user " + _any("wants is_asking asked asks would_like") + r"\b",
    rf"(?:let's|let us) {_any('solve tackle work_through')} (?:this|it|the problem)\b",
    rf"(?:let's|let us) {_any('break_(?:this|it)_down get_started dive_in think_step_by_step')}\b",
    rf"let me {_any('think see help explain give show solve clarify start try')}\b",
    rf"to {_any('solve answer tackle approach')} this\b",
    r"(?:the )?(?:final |correct )?answer(?: is\b|\s*:)",
    r"(?:the )?solution\s*:",
    r"step 1\b",
    r"(?:please )?(?:note\W+)?i can only " + _any("help assist answer provide discuss") + r"\b",
    r"i hope (?:this|that|you|it)\b",
)
# The assistant speaks, or somebody wants a problem and states none. As the same words may open a
# problem (`Could you give me the details of the proof that …`), they count only where a message has
# no mathematics.
_MISSING = _any("missing incomplete empty blank unclear cut_off provided complete clear")
_EMPTY_TALK = _opens_with(
    rf"{_PLEASE}+"
    + _any("provide share specify clarify send paste type enter post upload include submit give_me")
    + _WITHIN_SENTENCE
    + rf"(?:{_PROBLEM}|{_any('details? information context topics? request statement text image')}|"
    + _any("input message equation expression function you_mean need again more")
    + r")\b",
    rf"{_PLEASE}+"
    + _any("describe explain state tell_me show_me write ask let_me_know rephrase repeat confirm")
    + rf"\b[^.?!]{{0,30}}(?:$|[.?!]|\b{_any('your more again what_you you_want you_mean')}\b)",
    rf"{_PLEASE}+{_any('try wait go_ahead feel_free elaborate be_more_specific')}\b",
    rf"(?:please )?{_INVENT}(?: me| us)?{_WITHIN_SENTENCE}{_PROBLEM}\b",
    rf"(?:{_SOMEBODY}|do you|would you|i want you to|i(?:'d| would) like you to) "
    rf"(?:{_INVENT}|ask|have|know|like){_WITHIN_SENTENCE}(?:{_PROBLEM}|topics?|hints?|me to|"
    r"to (?:try|learn|see|know|practice))\b",
    r"welcome (?:to|back)\b[^.!?\n]{0,60}(?:[.!]|quiz|session|class|lesson)",
    rf"(?:how|what)(?: else)? {_any('can may could should')} i {_any('help assist do_for')}\b",
    r"i(?:'d| would) love to\b",
    r"i(?:'ll| will| can) give you\b",
    r"(?:do you want|would you like) (?:me|to)\b",
    r"i want you to act\b",
    r"what (?:do you mean|are you asking)\b",
    rf"{_any('what which how where')}{_WITHIN_SENTENCE}(?:would you like|is your question)",
    rf"{_any('what which how where')}{_WITHIN_SENTENCE}do you (?:need|want) "
    + _any("help assistance me_to to_know to_learn to_discuss to_ask to_solve"),
    rf"{_any('what which how where')}{_WITHIN_SENTENCE}are you "
    + _any("looking_for interested_in working_on struggling_with having_trouble"),
    rf"{_any('what which how where')}{_WITHIN_SENTENCE}(?:can|may) i (?:help|assist|do)\b",
    rf"(?:now,? )?how would you (?:solve|answer) {_any('the_next this it')}\b",
    r"is there (?:anything|something|a (?:specific|particular))\b",
    _any("let_me_know feel_free go_ahead ask_me ask_away good_luck take_your_time are_you_ready")
    + r"\b",
    r"have a (?:great|nice|good)\b",
    rf"it (?:seems|looks|appears)(?: like| that| as if)? {_any('you your there the we i')}\b",
    rf"there(?:'s| is| seems to be| appears to be| isn't)(?: \w+)? (?:no|any) {_PROBLEM}\b",
    r"there(?:'s| is| seems to be| appears to be)(?: \w+)? an? (?:\w+ )?"
    + _any("mistake misunderstanding error issue confusion")
    + r"\b",
    rf"no (?:\w+ )?{_PROBLEM} {_any('was is were has have provided given found')}\b",
    rf"(?:the|your) {_any('problem question input message prompt request')}(?: statement)? "
    rf"{_any('is was seems appears looks')} (?:to be |not |very )?{_MISSING}\b",
    rf"the (?:problem|question)(?: that)? you(?:'ve| have)? {_any('given gave asked')}\b",
    rf"{_any('that this it')}(?:'s| is)(?: an?| really| very| so)? {_PRAISE}\b",
    rf"you are an? (?:\w+ ){{0,3}}{_any('assistant tutor teacher expert professor')}\b",
    rf"as (?:an?|your) (?:\w+ ){{0,3}}{_ASSISTANT},? i\b",
    rf"i {_any('love like enjoy')} {_any('maths? mathematics algebra numbers problems')}\b",
    rf"i {_any('see notice understand think believe')}(?: that)? {_any('there you your this')}\b",
    rf"{_I_AM} not sure {_any('what which if how i')}\b",
    rf"{_any('that this it')} {_any('makes_sense helps? worked works')}\b",
    r"(?:we|i)(?: would|'d) like to\b",
)
# These give an assistant away wherever they stand.
_CLOSING = re.compile(
    _any("let_me_know feel_free_to don't_hesitate_to")
    + r"\b[^.?!]{0,40}\b"
    + _any("if_you ask questions? help assist you'd_like you_would_like")
    + r"\b|as an ai (?:language model|assistant)\b|\bi hope this helps\b|"
    r"how (?:can|may) i (?:help|assist) you|i(?:'d| would) be (?:happy|glad) to (?:help|assist)|"
    r"is there anything else (?:i|you)\b|"
    r"would you like me to (?:solve|explain|provide|give|show|help)\b"
)
_TURN_MARKS = re.compile(
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|endoftext|end)\b|"
    r"<\|?(?:user|assistant|system|think)\b|</?think>|<(?:start|end)_of_turn>|\[/?INST\]|"
    r"<<SYS>>|<[｜|](?:User|Assistant)[｜|]>|"
    r"(?:^|\n)\W*(?:assistant|chatgpt)\W*(?::|\n)|(?:^|\n)\s*(?:user|human|ai)\s*:",
    re.IGNORECASE,
)
_MATHEMATICS = re.compile(r"[$\\=<>^≤≥≠≈√∫∑∏∞×÷±]|\d")


def is_refusal(text: str) -> bool:
    """Whether a model declines by its first words."""
    message = _without_greetings(_opening(text))
    if _REFUSAL.match(message):
        return True
    first_sentence = re.split(r"[.?!\n]", message)[0]
    return bool(_REFUSAL_OR_STORY.match(message)) and not _MATHEMATICS.search(first_sentence)


def is_talk(text: str) -> bool:
    """Whether an assistant speaks, a chat's marks leaked, or a greeting is all there is."""
    if _TURN_MARKS.search(text) or _CLOSING.search(_plain(text)):
        return True
    opening = _opening(text)
    message = _without_greetings(opening)
    if _REPLY.match(opening) or _REPLY.match(message):
        return True
    if _MATHEMATICS.search(message):
        return False
    problem = _without_calls_for_help(message)
    return not any(map(str.isalpha, problem)) or _EMPTY_TALK.match(message) is not None


def _plain(text: str) -> str:
    """In small letters, with straight apostrophes and one blank between words; lines stay apart."""
    return re.sub(r"[ \t]+", " ", text.lower().replace("’", "'"))


def _opening(text: str) -> str:
    return _plain(text.lstrip()[:OPENING])


def _without_greetings(opening: str) -> str:
    while greeting := _GREETING.match(opening):
        opening = opening[greeting.end() :]
    return opening


def _without_calls_for_help(message: str) -> str:
    while call := _CALL_FOR_HELP.match(message):
        message = _without_greetings(message[call.end() :])
    return message
